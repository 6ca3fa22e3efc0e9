"""An attribute (sex, site, age, ...) as groups of cases: its values, or for many numbers the stretches between edges."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from medjax.errors import InputError
from medjax.evidence.intervals import Cases, Patients

CATEGORIES = 10  # more different numbers than that are cut at tertiles; so many or fewer are groups by themselves


@dataclass(frozen=True)
class Groups:
    """Which group each case belongs to, -1 where the attribute is unknown; no group is empty."""

    names: tuple[str, ...]
    code: Int[np.ndarray, " cases"]
    kind: str  # "text" or "numeric"
    edges: tuple[float, ...] = ()  # a value equal to an edge belongs above it
    edges_from: str = ""


def attribute_groups(
    values: Shaped[np.ndarray, " cases"],
    patient: Patients,
    edges: tuple[float | int, ...] | None = None,
    name: str = "",
) -> Groups:
    """The groups of an attribute given as text; "" is unknown, and so is "nan" among numbers.

    Numbers with more than 10 different values are cut at `edges`, or where none are stated at the tertiles of the
    patients (a patient counts each of its values once).

    Raises:
        InputError: edges for an attribute that is no number, or edges that do not increase.
    """
    text = np.array([str(one).strip() for one in values])
    numbers = _numbers(text)
    if edges is not None:
        if numbers is None:
            raise InputError(f"subgroups: edges are stated for '{name}', but a value of it is no number")
        if not edges or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
            raise InputError(f"subgroups: the edges {edges} of '{name}' must be increasing numbers")
        return _cut(numbers, tuple(float(edge) for edge in edges), "stated")
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) <= CATEGORIES:
        given = text != "" if numbers is None else np.isfinite(numbers)
        found, code = np.unique(text[given], return_inverse=True)
        if numbers is not None:  # 2 before 10
            order = np.argsort([float(one) for one in found], kind="stable")
            found, code = found[order], np.argsort(order)[code]
        full = np.full(len(text), -1)
        full[given] = code.reshape(-1)
        return Groups(tuple(str(one) for one in found), full, "text")
    once = np.unique(np.stack([patient, numbers])[:, np.isfinite(numbers)], axis=1)[1]
    # Where a third of the patients and more have the lowest value, they are the lowest group.
    cuts = np.maximum(np.quantile(once, [1 / 3, 2 / 3], method="higher"), np.unique(once)[1])
    return _cut(numbers, tuple(np.unique(cuts).tolist()), "tertiles of these patients")


def _numbers(text: Cases) -> np.ndarray | None:
    """The texts as numbers, NaN where unknown; None where one is no number."""
    try:
        numbers = np.array([float(one or "nan") for one in text])
    except ValueError:
        return None
    return None if np.any(np.isinf(numbers)) or not np.any(np.isfinite(numbers)) else numbers


def _cut(numbers: np.ndarray, edges: tuple[float, ...], edges_from: str) -> Groups:
    known = np.isfinite(numbers)
    place = np.where(known, np.searchsorted(edges, numbers, side="right"), -1)
    shown = [f"{edge:.10g}" for edge in edges]
    between = [f"{low} to under {high}" for low, high in itertools.pairwise(shown)]
    names = [f"under {shown[0]}", *between, f"{shown[-1]} and over"]
    present = np.unique(place[known])
    code = np.where(known, np.searchsorted(present, place), -1)
    return Groups(tuple(names[k] for k in present), code, "numeric", edges, edges_from)
