"""The text of an experiment file: settings as Python, each with the reason for it as a comment."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

WIDTH = 120


@dataclass(frozen=True)
class Choice:
    """One argument of the experiment.

    Attributes:
        key: its name.
        code: its value as Python.
        reason: why; may be empty.
    """

    key: str
    code: str
    reason: str = ""


@dataclass(frozen=True)
class Draft:
    """An experiment file before it is text.

    Attributes:
        name: of the experiment.
        title: first line of the file.
        book: lines of its lab-book.
        imports: import lines.
        choices: the arguments of `Experiment`, in their order.
        notes: what to tell the person on the screen.
    """

    name: str
    title: str
    book: tuple[str, ...]
    imports: tuple[str, ...]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]


def render(draft: Draft, path: str) -> str:
    """Return the text of the file that is going to lie at `path`."""
    words = [
        f'"""{_plain(draft.title)}',
        "",
        "Written by `medjax new`, which looked at the data. Every choice is a first guess with its reason; change what you",
        "know better.",
        "",
        f"    python train.py --config {path}",
        "",
        "Lab-book",
        *(f"    {_plain(line)}" for line in draft.book),
        '"""',
    ]
    lines = [*words, "", *_sorted(draft.imports), "experiment = Experiment("]
    for choice in draft.choices:
        lines += textwrap.wrap(choice.reason, WIDTH - 6, initial_indent="    # ", subsequent_indent="    # ")
        code = choice.code.splitlines()
        lines.append(f"    {choice.key}={code[0]}")
        lines += [f"    {line}" for line in code[1:]]
        lines[-1] += ","
    return "\n".join([*lines, ")", ""])


def call(name: str, settings: Sequence[tuple[str, str, str]]) -> str:
    """Return a call with one setting a line; each is (key, code, reason), those without a reason share the first line."""
    plain = [f"{key}={code}" for key, code, reason in settings if not reason]
    if len(plain) == len(settings) and len(f"{name}({', '.join(plain)})") < WIDTH - 20:
        return f"{name}({', '.join(plain)})"
    lines = [f"{name}("]
    for key, code, reason in settings:
        lines += textwrap.wrap(reason, WIDTH - 12, initial_indent="    # ", subsequent_indent="    # ")
        first, *rest = code.splitlines()
        lines.append(f"    {key}={first}")
        lines += [f"    {line}" for line in rest]
        lines[-1] += ","
    return "\n".join([*lines, ")"])


def changed(thing: Any, reasons: dict[str, str] | None = None) -> str:
    """Return a dataclass as a call with the fields that differ from their defaults."""
    reasons = reasons or {}
    settings = [
        (field.name, values(getattr(thing, field.name)), reasons.get(field.name, ""))
        for field in fields(thing)
        if getattr(thing, field.name) != field.default
    ]
    return call(type(thing).__name__, settings)


def comment(text: str) -> list[str]:
    """Return a reason as comment lines inside of a call."""
    return textwrap.wrap(text, WIDTH - 8, initial_indent="    # ", subsequent_indent="    # ")


def values(value: Any) -> str:
    """Return a value as Python; long tuples take a line for each few entries."""
    text = repr(value)
    if not isinstance(value, tuple) or len(text) < WIDTH - 30:
        return (
            text.replace("'", '"')
            if isinstance(value, str) and '"' not in text and "\\" not in text
            else _double(value)
        )
    if all(isinstance(entry, str) for entry in value):
        body = textwrap.wrap(", ".join(_double(entry) for entry in value) + ",", WIDTH - 16, break_on_hyphens=False)
    else:
        body = [f"{_double(entry)}," for entry in value]
    return "\n".join(["(", *(f"    {line}" for line in body), ")"])


def _double(value: Any) -> str:
    """`repr` with double quotes."""
    if isinstance(value, tuple):
        inner = ", ".join(_double(entry) for entry in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    text = repr(value)
    if isinstance(value, str) and '"' not in text and "\\" not in text:
        return f'"{text[1:-1]}"'
    return text


def _sorted(imports: Sequence[str]) -> list[str]:
    """Standard library, then others, then medjax, as a formatter would."""
    first = sorted({line for line in imports if line.startswith("from functools")})
    third = sorted({line for line in imports if line.startswith("import ")})
    own = sorted({line for line in imports if line.startswith("from medjax")})
    return [line for block in (first, third, own) if block for line in (*block, "")]


def _plain(text: str) -> str:
    """Text that cannot end the docstring."""
    return text.replace("\\", "/").replace('"""', "'''").rstrip('"')
