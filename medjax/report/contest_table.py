"""The table of a comparison: plain text of at most 108 columns, from what `evidence.contest` found alone."""

import re
import textwrap

from medjax.evidence.pairs import two_digits
from medjax.report import formats

_ENTRY = (40, 68, 93)  # where the columns of an entry start, after its name
_PAIR = (10, 42, 49, 58)  # where those of a pair start, after the two letters
_LISTED = 6  # pairs whose smallest detectable differences are listed; of more the range is given


def contest_table(result: dict) -> str:
    """The table, from the dict that `evidence.contest.contest` returns."""
    letters = {name: _letters(k) for k, name in enumerate(result["entries"])}
    lines = [*_heading(result), "", *_entries(result, letters)]
    lines += ["", *_pairs(result, "predictors", "These predictors (patients vary)", letters)]
    lines += ["", *_pairs(result, "methods", "These methods (single models; patients and seeds vary)", letters)]
    lines += ["", *_others(result, letters), "", *_below(result, letters)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _letters(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _label(name: str, result: dict) -> str:
    if result["kind"] == "labels":
        return formats.label(name) + (", macro" if name in formats.MACRO_LABELS else "")
    return formats.label(name) if "positive" in result["counts"] else formats.MACRO.get(name, formats.label(name))


def _heading(result: dict) -> list[str]:
    counts, label = result["counts"], _label(result["primary"], result)
    title = [f"Comparison of {len(result['entries'])} in {label} [primary]"]
    if not result["higher_is_better"]:
        title.append("lower is better")
    if "positive" in counts:
        title.append(f"positive class: {counts['positive']}")
    if result["margin"] is not None:
        title.append(_shown(f"margin {result['margin']:g}"))
    parts = [f"{counts['cases']} cases, {counts['patients']} patients"]
    if "classes" in counts:
        parts.append(", ".join(f"{count} {name}" for name, count in counts["classes"].items()))
    if "folds" in counts:
        parts.append(f"{counts['folds']} folds, out-of-fold")
    if counts["without_target"]:
        parts.append(f"{counts['without_target']} without target left out")
    return formats.join(title) + formats.join(parts)


def _columns(starts: tuple[int, ...], *cells: str) -> str:
    """Cells in columns; a cell that is too long pushes the others on."""
    text = cells[0]
    for cell, start in zip(cells[1:], starts, strict=False):
        text = text.ljust(start) if len(text) < start else text + "  "
        text += cell
    return text.rstrip()


def _entries(result: dict, letters: dict[str, str]) -> list[str]:
    """An entry a line, or, where its name is long, after the line with the name."""
    primary = result["primary"]
    decides = any(one["threshold"] is not None for one in result["entries"].values())
    heads = (f"{_label(primary, result)} [primary]", "single seeds: mean, sd", "threshold" if decides else "")
    lines = [_columns(_ENTRY, "", *heads)]
    for name, one in result["entries"].items():
        found = one["metrics"][primary]
        cells = [formats.cell(found, max(formats.decimals(found), 3), primary), _seeds(found["seeds"], primary)]
        cells += [formats.threshold(one["threshold"])] if one["threshold"] is not None else []
        name = f"{letters[name]}  {name}" + (" (reference)" if name == result["reference"] else "")
        if len(name) < _ENTRY[0] - 1:
            lines.append(_columns(_ENTRY, name, *cells))
        else:
            lines += [*textwrap.wrap(name, formats.WIDTH, subsequent_indent="   "), _columns(_ENTRY, "", *cells)]
    return lines


def _seeds(found: dict, primary: str) -> str:
    if found["standard_deviation"] is None:
        return "one seed" if found["count"] == 1 else "undefined"
    mean = formats.number(found["mean"], 3, primary)
    return f"{mean}, {formats.number(found['standard_deviation'], 4, primary)} ({found['count']})"


def _pairs(result: dict, kind: str, title: str, letters: dict[str, str]) -> list[str]:
    """A pair a line, its verdict on as many as it needs."""
    found, primary = result[kind], result["primary"]
    if not found["pairs"]:
        return formats.wrap(f"{title}: not compared; {found['reason']}.")
    lines = [title, _columns(_PAIR, "", "difference (adjusted interval)", "p", "adj. p", "verdict on the first")]
    for pair in found["pairs"]:
        adjusted = pair["adjusted"]
        shown = pair | {"low": adjusted["low"], "high": adjusted["high"]}
        decimals = max(formats.decimals(shown), 3)
        while decimals < 5 and any(end and round(end, decimals) == 0 for end in (shown["low"], shown["high"])):
            decimals += 1  # an end next to 0 decides the verdict: on which side it lies must be seen
        cells = [formats.cell(shown, decimals, primary, signed=True), _p(pair["p_value"]), _p(adjusted["p_value"])]
        verdict = textwrap.wrap(_shown(pair["verdict"]), formats.WIDTH - _PAIR[-1])
        first = f"{letters[pair['first']]} - {letters[pair['second']]}"
        lines.append(_columns(_PAIR, first, *cells, verdict[0]))
        lines += [" " * _PAIR[-1] + line for line in verdict[1:]]
    return lines


def _shown(text: str) -> str:
    """Numbers in a text without their leading zero."""
    return re.sub(r"(?<!\d)0\.", ".", text)


def _p(value: float | None) -> str:
    """A p-value with three decimals, with more where these could not be told from .05."""
    if value is None:
        return "-"
    return "<.001" if value < 0.001 else formats.fixed(value, 4 if round(value, 3) == 0.05 else 3)


def _others(result: dict, letters: dict[str, str]) -> list[str]:
    """The metrics that are not compared, three entries beside each other."""
    entries, lines = result["entries"], []
    names = [name for name in next(iter(entries.values()))["metrics"] if name != result["primary"]]
    chosen = list(entries)
    for start in range(0, len(chosen), 3):
        three = chosen[start : start + 3]
        lines.append(formats.row("described, not compared" if not start else "", *(letters[name] for name in three)))
        for metric in names:
            found = [entries[name]["metrics"][metric] for name in three]
            lines.append(
                formats.row(
                    _label(metric, result), *(formats.cell(one, max(formats.decimals(one), 2), metric) for one in found)
                )
            )
    return lines


def _below(result: dict, letters: dict[str, str]) -> list[str]:
    """What made the numbers, and what they do not show."""
    label, alpha = _label(result["primary"], result), 1 - result["level"]
    level, lines = f"{100 * result['level']:g} %", []
    methods = {
        kind: sorted({pair["method"] for pair in result[kind]["pairs"]} - {"none"})
        for kind in ("predictors", "methods")
    }
    own = sorted({one["metrics"][result["primary"]]["method"] for one in result["entries"].values()})
    lines += formats.wrap(f"Intervals of each: {level}, {'; '.join(own)}.")
    lines += formats.wrap(
        f"Differences: first minus second, {'; '.join(methods['predictors'] + methods['methods']) or 'none'}; interval and "
        "p-value from one standard error and Student's t."
    )
    most = max(len(result[kind]["pairs"]) for kind in ("predictors", "methods"))
    if most > 1:
        rows = " and again over those of methods" if result["methods"]["pairs"] else ""
        lines += formats.wrap(
            f"Holm over the {most} pairs of predictors{rows}: at most {formats.fixed(alpha, 2)} for a false difference among them; "
            "each interval has the level at which its test was decided, and leaves 0 out where the adjusted p is below that."
        )
    if most > 1 and result["margin"] is not None:
        lines += formats.wrap(
            "Non-inferior: by intervals that hold all differences at once (each at the level of 1 minus "
            f"{formats.fixed(alpha, 2)} / {most}), which are wider than those shown where Holm's have shrunk."
        )
    lines += _detectable(result, label, letters) + _mcnemar(result, letters)
    lines += formats.wrap(
        f"Conditional on {result['conditional_on']}, training-set variation not included. Not evidence for other hospitals."
    )
    return lines + _warnings(result, letters)


def _detectable(result: dict, label: str, letters: dict[str, str]) -> list[str]:
    key = "smallest_detectable_difference"
    found = [pair for pair in result["predictors"]["pairs"] if pair[key] is not None]
    if not found:
        return []
    shown = [f"{letters[pair['first']]} - {letters[pair['second']]} {_shown(two_digits(pair[key]))}" for pair in found]
    if len(found) > _LISTED:
        ends = (_shown(two_digits(end(pair[key] for pair in found))) for end in (min, max))
        shown = ["{} to {}".format(*ends)]
    adjusted = ", before Holm" if len(result["predictors"]["pairs"]) > 1 else ""
    return formats.wrap(
        f"Smallest {label} difference detectable here (2.8 paired standard errors: power .80, two-sided .05{adjusted}): "
        f"{', '.join(shown)}."
    )


def _mcnemar(result: dict, letters: dict[str, str]) -> list[str]:
    found = result["mcnemar"]
    if not found["pairs"]:
        return formats.wrap(f"Not done: {found['reason']}.")
    shown = [
        f"{letters[pair['first']]} - {letters[pair['second']]} {pair['only_first_right']}:{pair['only_second_right']}, "
        f"p {_p(pair['p_value'])}, adj. {_p(pair['adjusted_p_value'])}"
        for pair in found["pairs"]
    ]
    return formats.wrap(
        f"Accuracy, cases that only the first : only the second judges rightly, McNemar's exact test: {'; '.join(shown)}."
    )


def _warnings(result: dict, letters: dict[str, str]) -> list[str]:
    warned: dict[str, list[str]] = {}
    for name, one in result["entries"].items():
        found = one["metrics"][result["primary"]]
        if text := found.get("warning") or found.get("reason"):
            warned.setdefault(text, []).append(letters[name])
    for kind in ("predictors", "methods"):
        for pair in result[kind]["pairs"]:
            if text := pair.get("warning"):
                warned.setdefault(text, []).append(f"{letters[pair['first']]} - {letters[pair['second']]}")
    return [line for text, names in warned.items() for line in formats.wrap(f"WARNING, {', '.join(names)}: {text}.")]
