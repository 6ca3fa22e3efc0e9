"""All rows of the speed table, in its order."""

from collections.abc import Sequence

from benchmarks.speed import augmentation, bootstrap, input_path, memory, replicates, resnet, sliding, startup, unet
from benchmarks.speed.row import Row

ROWS: tuple[Row, ...] = (
    *replicates.ROWS,
    *augmentation.ROWS,
    *bootstrap.ROWS,
    *resnet.ROWS,
    *unet.ROWS,
    *sliding.ROWS,
    *input_path.ROWS,
    *startup.ROWS,
    *memory.ROWS,
)


def chosen(names: Sequence[str]) -> list[Row]:
    """Return the rows of these names, or of these families (what stands before the first underscore); all for none.

    Raises:
        ValueError: a name that no row and no family has; the message lists them.
    """
    known = {row.name for row in ROWS} | {family(row) for row in ROWS}
    for name in names:
        if name not in known:
            listed = "\n  ".join(row.name for row in ROWS)
            raise ValueError(f"--only {name}: there is no such row or family; the rows are\n  {listed}")
    return [row for row in ROWS if not names or row.name in names or family(row) in names]


def family(row: Row) -> str:
    """Return what the names of a family share."""
    return row.name.split("_")[0]
