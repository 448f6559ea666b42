"""What each alert is tried with by promtool: it fires, it does not when it only nearly should, and it clears."""
