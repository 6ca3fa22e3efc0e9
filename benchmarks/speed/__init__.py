"""The speed table: one file a family of rows; `python -m benchmarks.run` measures them."""
