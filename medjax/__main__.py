"""Make `python -m medjax` the same as `medjax`."""

from medjax.cli import main

raise SystemExit(main())
