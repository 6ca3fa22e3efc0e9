"""Measurements beside the package: speed (`python -m benchmarks.run`), coverage of intervals, malformed files."""
