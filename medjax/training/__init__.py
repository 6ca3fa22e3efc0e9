"""State, step, loop: everything between a batch and trained parameters."""
