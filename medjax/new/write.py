"""Write the drafted experiment, and see that it can be trained."""

import re
from pathlib import Path

from medjax import config, job
from medjax.data.origin import OnError
from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.new import images as of_images
from medjax.new import survival as of_survival
from medjax.new import table as of_table
from medjax.new.draft import render


def write(
    name: str,
    *,
    images: Path | None = None,
    table: Path | None = None,
    target: str | None = None,
    event: str | None = None,
    group: str | None = None,
    positive: str | None = None,
    on_error: OnError = "stop",
    folder: Path = Path("configs"),
    force: bool = False,
) -> tuple[Path, tuple[str, ...]]:
    """Look at one's own data and write `folder/name.py`, an experiment that trains at once.

    Args:
        name: of the experiment, of its data and of the file.
        images: a folder with a folder for each class, or a manifest.
        table: a CSV with one case a row.
        target: the column to be learnt; with `event` the time.
        event: of a table, the column that says how the time ended.
        group: the column that names the patient; with a folder of images a regular expression on the path.
        positive: the positive class of two; None: guessed, and said so.
        on_error: what an unusable case does: "stop" or "skip".
        folder: where to write.
        force: whether to write over a file of that name.

    Returns:
        The file, and what a person should know, a line each.

    Raises:
        InputError: a name that cannot be used, a file that is there already, or data that cannot be used.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError(f"the name {name!r}: begin with a letter and use letters, digits, '-' and '_'")
    path = folder / f"{name}.py"
    if path.exists() and not force:
        raise InputError(f"{path} is there already; give another name, or --force to write over it")
    if images is not None and table is not None:
        raise InputError("give either images or a table")
    if images is not None:
        if event is not None:
            raise InputError("--event goes with --table")
        draft = of_images.draft(name, images, target, group, positive, on_error)
    elif table is None:
        raise InputError("give either images or a table")
    elif event is not None:
        if positive is not None:
            raise InputError("--positive is for classes; --event says how a time ended")
        draft = of_survival.draft(name, table, target, event, group, on_error)
    else:
        draft = of_table.draft(name, table, target, group, positive, on_error)
    write_atomically(path, render(draft, path.as_posix()).encode())
    job.build(config.load_experiment(path))  # whatever would stop the training stops here
    return path, draft.notes
