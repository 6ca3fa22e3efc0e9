"""The seam for one's own data: an origin says where cases come from when the data set has no known name.

An origin is a frozen dataclass that a configuration can hold. It looks at files (or draws numbers) and gives cases one
by one; what happens to them afterwards (stored, checked, fingerprinted, parted, audited) is the same as for every other
data set. Known origins are in `medjax.data.origins`; any frozen dataclass with these methods is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from medjax.data.case import Case

Shape = tuple[int | None, ...]
OnError = Literal["stop", "skip"]


@dataclass(frozen=True)
class Facts:
    """What is known of the cases of an origin before they are read one by one.

    Attributes:
        shapes: for every key but `id`, `group` and `label` the shape of one case's array and its dtype; None stands
            for a size that differs between cases, `((), "float32")` for a number, `((), "str")` for text.
        counts: the number of rows of each split, those that will turn out unusable included; one split "all" where
            the cases are not parted.
        classes: names of the classes (`label`, and then every case has one), of the findings (`labels`), or of the classes of
            `segmentation`, the background first.
        columns: names of the columns of `table`.
        description: one or two sentences.
        synthetic: whether no patient stands behind the cases; every result then says so.
        licence: of the data, where it is known.
        citation: of the data, where it is known.
        notes: what a person should know about how the files were read, a line each.
        segmented: whether `classes` are those of `segmentation`.
        codes: the dictionary of `code`: what 2, 3, ... mean.
    """

    shapes: dict[str, tuple[Shape, str]]
    counts: dict[str, int]
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    description: str = ""
    synthetic: bool = False
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = field(default=())
    segmented: bool = False
    codes: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether every case has one class, its `label`."""
        return bool(self.classes) and "labels" not in self.shapes and not self.segmented


@dataclass(frozen=True)
class Problem:
    """A case that cannot be used.

    Attributes:
        where: the file, and the row or line in it.
        what: what is wrong with it, without a full stop; never the patient.
        advice: settings that would let it be used, where there are any.
    """

    where: str
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.advice}" if self.advice else "")


@runtime_checkable
class Origin(Protocol):
    """Where cases come from. `on_error` is "stop" or "skip" and says what a `Problem` does to the whole."""

    @property
    def on_error(self) -> OnError:
        """What happens at the first unusable case: "stop" with a message, or "skip" it, list it and count it."""
        ...

    def fingerprint(self) -> str:
        """Hash settings and files (SHA-256 as hex), so that an edited file is prepared anew."""
        ...

    def facts(self) -> Facts:
        """Look at the files once; InputError for whatever leaves nothing to go on with (no file, no such column)."""
        ...

    def cases(self, split: str) -> Iterator[Case | Problem]:
        """Give the cases of one split in a fixed order, and a `Problem` in place of one that cannot be used."""
        ...
