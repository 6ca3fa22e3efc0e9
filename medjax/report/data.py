"""Data sets in words: what `medjax data` prints."""

import numpy as np

from medjax.data.audit import audit, check
from medjax.data.dataset import Dataset, fingerprint, names, open_split


def listing() -> str:
    """Return the names of all data sets, a line each."""
    return "\n".join(names())


def prepared(dataset: Dataset) -> str:
    """Return that a data set is ready, where it lies, and what the leak audit says."""
    return f"{dataset.name} {dataset.version} is prepared: {dataset.directory}\n{audited(dataset)}"


def described(dataset: Dataset) -> str:
    """Return what a data set holds, its counts by split and class, its inputs, licence and citation.

    Class counts and intensities are read from every split but a sealed test set, whose cases are counted only.
    """
    lines = [f"{dataset.name} {dataset.version}", "", dataset.description.strip(), ""]
    known = not np.array_equal(dataset.index.id, dataset.index.group)
    lines.append(f"patients: {len(np.unique(dataset.index.group)) if known else 'unknown, taken as independent'}")
    lines.append(f"splits: {'official' if dataset.official else 'none official; an experiment makes its own'}")
    for split, count in dataset.splits.items():
        if split == "test":
            lines.append(f"  {split:<12} {count:>7} cases (sealed: not read here)")
            continue
        lines.append(f"  {split:<12} {count:>7} cases{_contents(dataset, split)}")
    if dataset.columns:
        lines += ["", f"columns ({len(dataset.columns)}): {', '.join(dataset.columns)}"]
    lines += ["", f"fingerprint: {fingerprint(dataset)}", f"licence: {dataset.licence or 'see citation'}"]
    return "\n".join([*lines, "citation:", dataset.citation.strip()])


def audited(dataset: Dataset) -> str:
    """Return the leak audit of the data set's own splits, with the ids of identical cases.

    Raises:
        InputError: a patient stands in two splits.
    """
    found = audit(dataset.index)
    patients = f"{found.patients} patients" if found.patients_known else "patients unknown, taken as independent"
    lines = [
        f"audit: {found.cases} cases, {patients}; no patient in two splits" if not found.shared_patients else "audit:"
    ]
    if found.duplicate_groups:
        lines.append(f"identical inputs: {found.duplicate_cases} cases in {found.duplicate_groups} groups")
        splits = list(dataset.splits)
        for number, first in enumerate(splits):
            lines += [
                f"  across {first} and {second}: {found.across.get(f'{first}+{second}', 0)} groups"
                for second in splits[number + 1 :]
            ]
        for group in found.duplicates[:50]:
            lines.append("  " + " = ".join(name for ids in group.values() for name in ids))
        if len(found.duplicates) > 50:
            lines.append(f"  and {len(found.duplicates) - 50} groups more")
    else:
        lines.append("identical inputs: none")
    lines.append(f"identical inputs with different targets: {len(found.conflicting)} groups")
    lines += ["  " + " = ".join(ids) for ids in found.conflicting[:50]]
    check(found)
    return "\n".join(lines)


def _contents(dataset: Dataset, split: str) -> str:
    source = open_split(dataset, split)
    labels, low, high, missing, shapes = [], np.inf, -np.inf, 0, set()
    for number in range(len(source)):
        case = source[number]
        for key in dataset.inputs:
            values = np.asarray(case[key])
            shapes.add(f"{key} {'x'.join(map(str, values.shape))} {values.dtype}")
            if np.issubdtype(values.dtype, np.floating):
                missing += int(np.isnan(values).sum())
                values = values[~np.isnan(values)]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
        if "label" in case:
            labels.append(case["label"])
    parts = []
    if labels:
        counts = np.bincount(labels, minlength=len(dataset.classes))
        parts.append(", ".join(f"{name} {count}" for name, count in zip(dataset.classes, counts, strict=True)))
    parts.append(
        f"{', '.join(sorted(shapes)[:4])}{' and other shapes' if len(shapes) > 4 else ''}, {low:g} to {high:g}"
    )
    if missing:
        parts.append(f"{missing} missing values")
    return ": " + "; ".join(parts)
