"""Point estimates: weighted pure functions on NumPy arrays; the leading axes of the weights are resamples."""
