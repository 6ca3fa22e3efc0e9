"""What must hold of listed images together: one case a file, no patient in two splits, classes that can be learnt."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medjax.data.readers.cells import is_number
from medjax.data.readers.listing import Entry
from medjax.errors import InputError

ORDER = ("all", "train", "validation", "test")
"""Splits in the order in which they are kept."""

_ONLY = "it is the only image of the class {!r} that can be used; to learn a class and to test it takes two at least"


def with_patient(entry: Entry, pattern: str) -> Entry:
    """Return an entry with the patient that the first group of a regular expression finds in its path."""
    if entry.problem:
        return entry
    match = re.search(pattern, entry.name)
    if match is None or not match[1]:
        return replace(entry, problem=f"group_pattern finds no patient in the path {entry.name!r}")
    return replace(entry, group=match[1])


def one_file_one_case(entries: Sequence[Entry]) -> list[Entry]:
    """Refuse an id or a file that comes again; where rows disagree on the target of one file, all of them."""
    ids: dict[str, Entry] = {}
    files: dict[Path, list[int]] = {}
    result = list(entries)
    for row, entry in enumerate(entries):
        if entry.problem:
            continue
        same = files.setdefault(entry.path, [])
        same.append(row)
        if len(same) > 1:
            text = f"the file {entry.name!r} is already that of {entries[same[0]].where}"
            result[row] = replace(entry, problem=text)
        elif entry.id in ids:
            result[row] = replace(entry, problem=f"the id {entry.id!r} is already that of {ids[entry.id].where}")
        ids.setdefault(entry.id, entry)
    for same in files.values():
        # repr, since an unknown label is NaN, which equals nothing
        if len({repr(entries[row].target) for row in same}) > 1:
            for row, other in zip(same, [same[1], *same], strict=False):
                text = f"the file {entries[row].name!r} is also that of {entries[other].where}, with another target"
                result[row] = replace(entries[row], problem=text)
    return result


def parted(entries: Sequence[Entry], source: Path) -> tuple[list[Entry], tuple[str, ...]]:
    """Give every entry a split to be counted in: one split alone parts nothing, a row without one goes to the first.

    Raises:
        InputError: several splits, none of which is for training.
    """
    splits = [split for split in ORDER if any(entry.split == split for entry in entries)]
    if len(splits) == 1 and splits[0] != "all":
        note = f"All cases are of the split {splits[0]!r}; they are not parted."
        return [replace(entry, split="all") for entry in entries], (note,)
    if splits and splits[0] not in ("all", "train"):
        raise InputError(f"{source}: there are the splits {' and '.join(splits)}, but no case to train on.")
    first = splits[0] if splits else "all"
    return [entry if entry.split else replace(entry, split=first) for entry in entries], ()


def check_patients(entries: Sequence[Entry], source: Path) -> None:
    """Refuse a patient in two splits, by the two files or rows.

    Raises:
        InputError: there is one.
    """
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.problem or not entry.group:
            continue
        first = seen.setdefault(entry.group, entry)
        if first.split != entry.split:
            raise InputError(
                f"{source}: {first.where} ({first.split}) and {entry.where} ({entry.split}) are of one patient; "
                "keep all images of a patient in one split."
            )


def known_classes(
    entries: Sequence[Entry], given: Sequence[str], folders: Sequence[str], manifest: bool, source: Path
) -> tuple[str, ...]:
    """Return the names of the classes: as given, otherwise the folders or labels in order.

    Raises:
        InputError: a folder that is none of the given classes, names that differ by case only, a column of labels most
            of which occur once.
    """
    counts = Counter(entry.target for entry in entries if not entry.problem)
    unknown = [] if manifest else sorted({*folders} - {*given})
    if given and unknown:
        raise InputError(
            f"{source}: the folder {unknown[0]!r} is none of the classes {', '.join(given)}; move it away or name it."
        )
    names = tuple(given) or tuple(sorted({*folders, *counts}, key=_natural))
    first: dict[str, str] = {}
    for name in names:
        if first.setdefault(name.strip().casefold(), name) != name:
            other = first[name.strip().casefold()]
            raise InputError(f"{source}: the classes {other!r} and {name!r} differ by case or blanks only; unite them.")
    single = [name for name in names if counts[name] == 1]
    if manifest and len(single) > max(10, len(names) / 2):
        hint = "set target='value' if it is a number" if all(map(is_number, single)) else "is it the right column?"
        raise InputError(f"{source}: {len(single)} of {len(names)} different labels occur only once; {hint}.")
    return names


def learnable(
    entries: Sequence[Entry], names: Sequence[str], skip: bool, source: Path
) -> tuple[list[Entry], tuple[str, ...], tuple[str, ...]]:
    """Refuse classes that nothing can be learnt of: the only image of a class becomes a problem.

    Args:
        entries: the images.
        names: all classes.
        skip: whether classes with fewer than two images are left out.
        source: the folder or the manifest, for messages.

    Returns:
        The images; the classes that are left; notes.

    Raises:
        InputError: a class without an image unless `skip`, fewer than two classes.
    """
    counts = Counter(entry.target for entry in entries if not entry.problem)
    listed = {entry.target for entry in entries}
    empty = [name for name in names if name not in listed]
    if empty and not skip:
        advice = "add some, take the class away, or leave it out with --on-error skip"
        raise InputError(f"{source}: the class {empty[0]!r} has no image; {advice}.")
    entries = [
        replace(entry, problem=_ONLY.format(entry.target)) if not entry.problem and counts[entry.target] == 1 else entry
        for entry in entries
    ]
    notes = []
    if skip and (gone := [name for name in names if counts[name] < 2]):
        notes.append(f"Classes left out, having fewer than two images that can be used: {', '.join(gone)}.")
        names = [name for name in names if counts[name] > 1]
    if len(names) < 2:
        problem = next((f" {entry.where}: {entry.problem}." for entry in entries if entry.problem), "")
        raise InputError(f"{source}: {_lonely(names, source)}.{problem}")
    train = {entry.target for entry in entries if entry.split in ("all", "train") and not entry.problem}
    if untrained := [name for name in names if name not in train and counts[name] > 1]:
        notes.append(f"Classes without a training case: {', '.join(untrained)}.")
    return entries, tuple(names), tuple(notes)


def check_columns_vary(
    targets: Sequence[float | int | tuple[float, ...]], columns: Sequence[str], source: Path
) -> None:
    """Refuse a column of values or of findings that says the same of every case.

    Raises:
        InputError: by the column.
    """
    for place, column in enumerate(columns):
        values = {target[place] if isinstance(target, tuple) else target for target in targets}
        known = sorted(value for value in values if value == value)  # not NaN
        if len(known) < 2:
            what = f"it is {known[0]:g} wherever it is known" if known else "it is never known"
            raise InputError(f"{source}: column {column!r}: {what}; nothing can be learnt from it. Name other columns.")


def _lonely(names: Sequence[str], source: Path) -> str:
    if not names:
        return "no class has two images that can be used"
    inner = []
    if (source / names[0]).is_dir():
        inner = sorted(path.name for path in (source / names[0]).iterdir() if path.is_dir() and path.name[0] != ".")
    hint = f"its folders are {', '.join(inner[:3])}: is {names[0]!r} the folder that is meant?" if inner else ""
    return f"there is only one class, {names[0]!r}; {hint or 'a classifier needs two'}"


def _natural(name: str) -> tuple[int, int, str]:
    """Sort whole numbers by value, before other names."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
