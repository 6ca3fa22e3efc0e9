"""How the cost of things grows with their size: curves, their measurement, exponents."""
