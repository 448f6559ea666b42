"""`limelight doctor`: checks a Redis and its queues. Reads facts, judges them by pure functions, prints findings."""
