"""What a training step costs: a small model of it, and measurements to hold against it."""
