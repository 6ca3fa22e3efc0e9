"""`medjax new`: look at one's own data, and write an experiment file that trains at once."""

from medjax.new.write import write

__all__ = ["write"]
