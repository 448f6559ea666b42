"""`limelight queue`: what stands on the queues, and what an operator does about it."""
