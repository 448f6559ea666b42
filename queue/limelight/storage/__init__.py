"""Where a queue's state lives, and the scripts that change it."""
