"""`python -m limelight` is `limelight`."""

from .cli.main import main

main()
