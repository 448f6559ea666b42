"""Commands that the exporter adds to ``limelight``."""
