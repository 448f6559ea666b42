"""`limelight demo`: an order shop, its consumers, the exporter and a live view, all at once.

`shop` is the application, and the file to read first: everything else here starts it, watches it and stops it.
"""
