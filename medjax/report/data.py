"""Data sets in words: what `medjax data` prints."""

import numpy as np

from medjax.data.audit import audit, check
from medjax.data.dataset import Dataset, fingerprint, names
from medjax.data.partition import Partition, split_sources
from medjax.report import contents
from medjax.report.contact_sheet import contact_sheet
from medjax.report.contents import Contents

LISTED = 50  # lines of a list that could be endless


def listing() -> str:
    """Return the names of all data sets, a line each."""
    return "\n".join(names())


def prepared(dataset: Dataset, parts: Partition | None = None) -> str:
    """Return that a data set is ready, where it lies, and what the leak audit says."""
    return "\n".join(
        [
            f"{dataset.name} {dataset.version} is prepared: {dataset.directory}",
            *_notes(dataset),
            audited(dataset, parts),
        ]
    )


def described(dataset: Dataset, parts: Partition | None = None) -> tuple[str, bytes | None]:
    """Return what a data set holds, in words, and a contact sheet as PNG where there are images.

    Counts by split and class, sizes, intensities, missing values and attributes are read from every split but a sealed
    test set, whose cases are counted only.

    Args:
        dataset: prepared.
        parts: how an experiment parts it; None: as it comes.
    """
    lines = [f"{dataset.name} {dataset.version}{' (SYNTHETIC)' if dataset.synthetic else ''}", ""]
    lines += [dataset.description.strip(), ""]
    known = not np.array_equal(dataset.index.id, dataset.index.group)
    lines.append(f"patients: {len(np.unique(dataset.index.group)) if known else 'unknown, taken as independent'}")
    official = "official" if dataset.official else "none official; an experiment makes its own"
    lines.append(f"splits: {official if parts is None or dataset.official else 'made by the experiment'}")
    found = {}
    for split, (count, source) in split_sources(dataset, parts).items():
        if source is None:
            lines.append(f"  {split:<12} {count:>7} cases (sealed: not read here)")
            continue
        found[split] = contents.read(source)
        lines.append(f"  {split:<12} {count:>7} cases{_targets(dataset, found[split])}")
    whole = contents.merge(found.values())
    lines += _inputs(whole) + _columns(dataset, whole) + _attributes(whole) + _notes(dataset)
    lines += ["", f"fingerprint: {fingerprint(dataset)}", f"licence: {dataset.licence or 'see citation'}"]
    lines += ["citation:", dataset.citation.strip() or "none given"]
    return "\n".join(lines), _sheet(dataset, whole)


def _groups(number: int) -> str:
    return f"{number} group{'s' * (number != 1)}"


def audited(dataset: Dataset, parts: Partition | None = None) -> str:
    """Return the leak audit of a data set's splits, with the ids of identical cases.

    Raises:
        InputError: a patient stands in two splits.
    """
    found = audit(dataset.index, None if parts is None else parts.assignment)
    patients = f"{found.patients} patients" if found.patients_known else "patients unknown, taken as independent"
    lines = [
        f"audit: {found.cases} cases, {patients}; no patient in two splits" if not found.shared_patients else "audit:"
    ]
    if found.duplicate_groups:
        lines.append(f"identical inputs: {found.duplicate_cases} cases in {_groups(found.duplicate_groups)}")
        splits = [str(name) for name in np.unique(parts.assignment)] if parts is not None else list(dataset.splits)
        for number, first in enumerate(splits):
            lines += [
                f"  across {first} and {second}: {_groups(found.across.get(f'{first}+{second}', 0))}"
                for second in splits[number + 1 :]
            ]
        for group in found.duplicates[:LISTED]:
            lines.append("  " + " = ".join(name for ids in group.values() for name in ids))
        if len(found.duplicates) > LISTED:
            lines.append(f"  and {len(found.duplicates) - LISTED} groups more")
    else:
        lines.append("identical inputs: none")
    lines.append(f"identical inputs with different targets: {_groups(len(found.conflicting))}")
    lines += ["  " + " = ".join(ids) for ids in found.conflicting[:LISTED]]
    check(found)
    return "\n".join(lines)


def _targets(dataset: Dataset, found: Contents) -> str:
    """What a split holds of each class, or of each finding, or the range of a value."""
    parts = []
    if found.unknown or "labels" in dataset.targets:
        for position, name in enumerate(dataset.classes):
            lacks = f" ({found.unknown[position]} unknown)" if found.unknown[position] else ""
            parts.append(f"{name} {found.classes[position]}{lacks}")
    elif found.pixels:
        every = found.pixels.total()
        for position, name in enumerate(dataset.classes[1:], start=1):
            share = found.pixels[position] / every
            parts.append(f"{name} in {found.classes[position]} ({100 * share:.2g} % of pixels or voxels)")
    elif found.classes:
        parts += [f"{name} {found.classes[position]}" for position, name in enumerate(dataset.classes)]
    for key, values in found.values.items():
        low, middle, high = np.quantile(values, [0.0, 0.5, 1.0])
        parts.append(f"{key} {low:g} to {high:g}, median {middle:g}")
    return ": " + ", ".join(parts) if parts else ""


def _inputs(whole: Contents) -> list[str]:
    """Sizes and intensities of every input."""
    lines = []
    for key, shapes in whole.shapes.items():
        common = [f"{'x'.join(map(str, shape[:-1]))} {shape[-1]}" for shape, _ in shapes.most_common(3)]
        more = f" and {len(shapes) - 3} other shapes" if len(shapes) > 3 else ""
        line = f"{key}: {', '.join(common)}{more}"
        if len(shapes) > 1:
            sizes = np.array([shape[:-2] for shape in shapes.elements()])
            low, high = sizes.min(0), sizes.max(0)
            line += f"; from {'x'.join(map(str, low))} to {'x'.join(map(str, high))}"
        count, total, squares = whole.sums[key]
        if key != "table" and count:
            mean = total / count
            deviation = np.sqrt(max(squares / count - mean**2, 0.0))
            line += f"; values {whole.low[key]:g} to {whole.high[key]:g}, mean {mean:.4g}, sd {deviation:.4g}"
        lines.append(line)
    return ["", *lines]


def _columns(dataset: Dataset, whole: Contents) -> list[str]:
    """The columns of a table, and how much is missing in each."""
    if not dataset.columns:
        return []
    lines = ["", f"columns ({len(dataset.columns)}): {', '.join(dataset.columns)}"]
    if whole.missing is None or not whole.missing.any():
        return [*lines, "missing values: none"]
    lines.append(f"missing values: {int(whole.missing.sum())} of {whole.cases * len(dataset.columns)}")
    width = max(map(len, dataset.columns))
    for name, count in zip(dataset.columns, whole.missing, strict=True):
        if count:
            lines.append(f"  {name:<{width}}  {count:>6} of {whole.cases} cases ({count / whole.cases:.0%})")
    return lines


def _attributes(whole: Contents) -> list[str]:
    """Attributes: the values that occur, or the range where there are many numbers."""
    lines = []
    for key, values in whole.attributes.items():
        if len(values) > 12 and all(isinstance(value, int | float) for value in values):
            known = [value for value in values if value == value]
            lines.append(f"  {key}: {min(known):g} to {max(known):g}")
        else:
            listed = ", ".join(f"{value} {count}" for value, count in values.most_common(6))
            more = f" and {len(values) - 6} other values" if len(values) > 6 else ""
            lines.append(f"  {key}: {listed}{more}")
    return ["", "attributes:", *lines] if lines else []


def _notes(dataset: Dataset) -> list[str]:
    """How the data was read, and the cases that could not be used."""
    lines = [f"note: {note}" for note in dataset.notes]
    if dataset.skipped:
        lines.append(f"skipped: {len(dataset.skipped)} cases that cannot be used")
        lines += [f"  {where}: {what}" for where, what in dataset.skipped[:LISTED]]
        if len(dataset.skipped) > LISTED:
            lines.append(f"  and {len(dataset.skipped) - LISTED} more")
    return ["", *lines] if lines else []


def _sheet(dataset: Dataset, whole: Contents) -> bytes | None:
    rows = []
    for row, images in sorted(whole.examples.items()):
        if images:
            nameless = "none of the findings" if "labels" in dataset.targets else ""
            rows.append((dataset.classes[row] if row >= 0 else nameless, images))
    if not rows:
        return None
    note = ", middle slices" if rows[0][1][0].ndim == 4 else ""
    return contact_sheet(f"{dataset.name}{' (SYNTHETIC)' if dataset.synthetic else ''}{note}", rows)
