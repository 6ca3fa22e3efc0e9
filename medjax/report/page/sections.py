"""Sections that a run has only where its evaluation holds their key; a small function each, and one for what is left."""

from collections.abc import Callable
from typing import Any

from medjax.report import formats
from medjax.report.page import abstention, time_to_event
from medjax.report.page.forest import forest
from medjax.report.page.reading import RunFolder
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import UNKNOWN, count, metric, value

_LONGEST = 60  # rows of a table made from unknown content
Section = dict[str, Any]


def sections(run: RunFolder) -> list[Section]:
    """{"name", "title", "words", "tables", "figures"} of every key that is there."""
    found = []
    for key, (title, words, make_tables) in SECTIONS.items():
        content = run.evaluation.get(key)
        if not content:
            continue
        try:
            made = make_tables(content)
        except (KeyError, TypeError, AttributeError):  # written by another version: shown as it is
            made = flat(content, title)
        drawn = None
        if key == "subgroups":
            drawn = forest(content, run.evaluation.get("metrics", {}).get(content.get("primary")))
        elif key == "selective":
            drawn = abstention.figure(content)
        found.append(
            {"name": f"section-{key.replace('_', '-')}", "title": title, "words": words, "tables": made,
             "figures": [drawn] if drawn else []}
        )  # fmt: skip
    return found


def flat(content: Any, title: str) -> list[Table]:
    """Anything as one table of names and values; long lists are counted, not printed."""
    rows: list[list[str]] = []

    def walk(found: Any, path: str) -> None:
        if isinstance(found, dict) and "estimate" in found:
            rows.append([path, _cell(found)])
        elif isinstance(found, dict):
            for key, one in found.items():
                walk(one, f"{path}, {key}".strip(", ").replace("_", " "))
        elif isinstance(found, list) and any(isinstance(one, dict) for one in found) and len(found) <= _LONGEST:
            for k, one in enumerate(found, start=1):
                walk(one, f"{path}, {k}".strip(", "))
        elif isinstance(found, list):
            shown = ", ".join(_text(one) for one in found) if len(found) <= 8 else f"{len(found)} numbers, in the JSON"
            rows.append([path, shown or "none"])
        else:
            rows.append([path, _text(found)])

    walk(content, "")
    notes = [f"{len(rows) - _LONGEST} more stand in the JSON of the evaluation."] if len(rows) > _LONGEST else []
    return [make(title, ["", "value"], rows[:_LONGEST], notes)]


def _text(found: Any) -> str:
    if found is None:
        return UNKNOWN
    if isinstance(found, bool):
        return "yes" if found else "no"
    return f"{found:.4g}" if isinstance(found, float) else str(found)


def _cell(entry: dict[str, Any] | None, name: str = "", *, signed: bool = False) -> str:
    """An entry with its reason, and a mark where it carries a warning."""
    text = value(entry, name, signed=signed)
    if entry and entry.get("reason"):
        text += f" ({entry['reason']})"
    return f"{text} WARNING: {entry['warning']}" if entry and entry.get("warning") else text


def _subgroups(content: dict[str, Any]) -> list[Table]:
    """A table an attribute, a column a group: size, prevalence, primary metric, gap to the rest, the other metrics."""
    primary, made = content["primary"], []
    for attribute, part in content["attributes"].items():
        groups = part["groups"]
        columns = [_group(found, primary) for found in groups.values()]
        # In the order of the fullest column: a group that is too small has few rows.
        keys = list(dict.fromkeys(key for column in sorted(columns, key=len, reverse=True) for key in column))
        rows = [[key, *(column.get(key, "") for column in columns)] for key in keys]
        notes = []
        worst = part.get("worst", {})
        if "group" in worst:
            metric_words = f"{metric(primary)} {value(worst.get('metric'), primary)}"
            notes.append(
                f"Worst of {worst.get('groups')} groups: {worst['group']}, {metric_words}, gap "
                f"{value(worst.get('gap'), primary, signed=True)}; these two intervals hold for all groups together (max-T), "
                "since the worst was picked."
            )
        elif worst.get("reason"):
            notes.append(f"No worst group: {worst['reason']}.")
        unknown = part.get("unknown", {}).get("cases")
        notes += [f"{attribute} is unknown for {count(unknown, 'case')}, which belong to no group."] if unknown else []
        warned: dict[str, list[str]] = {}
        for group, found in groups.items():
            if text := found.get("metrics", {}).get(primary, {}).get("warning"):
                warned.setdefault(text, []).append(group)
        notes += [f"WARNING, {metric(primary)}, {', '.join(names)}: {text}." for text, names in warned.items()]
        made.append(make(f"By {attribute}", [attribute, *groups], rows, notes))
    fewest = f"Groups with fewer than {content.get('fewest', 10)} patients with or without the event are not judged."
    made[-1]["notes"].append(f"{fewest} Nothing accounts for the number of attributes.")
    return made


def _group(found: dict[str, Any], primary: str) -> dict[str, str]:
    """The column of a group."""
    column = {"cases": count(found.get("cases")), "patients": count(found.get("patients"))}
    if "too_few" in found:
        return column | {metric(primary): f"too few: {found['too_few']}"}
    column |= {f"{name}, prevalence": value(entry) for name, entry in found.get("prevalence", {}).items()}
    metrics = found.get("metrics", {})
    column |= {metric(primary): value(metrics.get(primary), primary)}
    column |= {"gap to the rest": _cell(found.get("gap"), primary, signed=True)}
    return column | {metric(name): value(entry, name) for name, entry in metrics.items() if name != primary}


def _conformal(content: dict[str, Any]) -> list[Table]:
    rows = [["promised coverage", f"{100 * content['nominal']:g} %: {content.get('promise', UNKNOWN)}"]]
    words = {
        "coverage": "coverage here, patients counting equally", "coverage_of_cases": "coverage here, by case",
        "mean_set_size": "mean number of classes in a set", "empty": "empty sets", "full": "sets of all classes",
        "mean_width": "mean width of the intervals",
    }  # fmt: skip
    rows += [[text, _cell(content[key])] for key, text in words.items() if key in content]
    rows += [[f"coverage of {name}", _cell(entry)] for name, entry in content.get("classes", {}).items()]
    sizes = [f"{number} with {size}" for size, number in enumerate(content.get("sizes", []))]
    rows += [["cases by number of classes", ", ".join(sizes)]] if sizes else []
    rows += [[f"not estimable, {name}", str(why)] for name, why in content.get("reasons", {}).items()]
    return [make("What the sets or intervals hold", ["", "value"], rows)]


def _recalibration(content: dict[str, Any]) -> list[Table]:
    rows = [
        [metric(name), f"{part['before']:.4f}", f"{part['after']:.4f}", _cell(part.get("difference"), signed=True)]
        for name, part in content.items()
        if isinstance(part, dict) and "before" in part
    ]
    notes = [f"Method: {content['method']}." + (f" {content['reason']}." if content.get("reason") else "")]
    return [make("Before and after recalibration", ["", "before", "after", "paired difference"], rows, notes)]


def _uncertainty(content: dict[str, Any]) -> list[Table]:
    detects = content.get("detects_errors", {})
    rows = [[name, _cell(entry), _cell(detects.get(name), "auroc")] for name, entry in content["mean"].items()]
    share = content.get("epistemic_share")
    notes = [f"From {count(content.get('members'), 'model')}; unit: {content.get('unit', UNKNOWN)}."]
    notes += [f"Disagreement of the models makes up {100 * share:.3g} % of it."] if share is not None else []
    notes += (
        ["Detecting errors: the probability (AUROC) that a wrong answer was the more uncertain one."] if detects else []
    )
    return [make("Parts of the uncertainty", ["", "mean over cases", "detecting errors"], rows, notes)]


def _sample_size(content: dict[str, Any]) -> list[Table]:
    """Patients that the next study needs for intervals of the stated half width."""
    rows = []
    for name in ("auroc", "sensitivity", "specificity"):
        part = content.get(name)
        if not part:
            continue
        if part.get("patients") is None:
            rows.append([metric(name), UNKNOWN, str(part.get("reason", UNKNOWN)), "", ""])
            continue
        expected = formats.fixed(part["expected"], 3)
        rows.append(
            [
                metric(name),
                expected,
                count(part["patients"]),
                *(count(part[key]) if key in part else "" for key in ("events", "non_events")),
            ]
        )
    notes = [f"{text[:1].upper()}{text[1:]}." for text in content.get("assumptions", [])]
    caption = f"Patients for {100 * content['level']:g} % intervals of half width {formats.short(format(content['half_width'], 'g'))}"
    return [make(caption, ["", "expected value", "patients", "of them with the event", "without it"], rows, notes)]


def _by_class(content: dict[str, Any]) -> list[Table]:
    rows = []
    for name, part in content.items():
        if "reason" in part:
            rows.append([name, part["reason"], "", "", ""])
            continue
        error = part.get("expected_calibration_error", {})
        rows.append([name, _cell(part.get("intercept")), _cell(part.get("slope")), _text(error.get("estimate")),
                     _text(error.get("expected_if_perfect"))])  # fmt: skip
    head = ["class", "intercept (0 is perfect)", "slope (1 is perfect)", "ECE", "ECE were it perfect"]
    return [make("Calibration of each class against the rest", head, rows)]


_SETS = (
    "Sets of classes, or intervals of a value, that hold the truth as often as was promised for exchangeable patients. "
)
SECTIONS: dict[str, tuple[str, str, Callable[[dict[str, Any]], list[Table]]]] = {
    "survival": (
        "Groups of risk",
        "Thirds and fifths of the predicted risk among these very cases (in cross-validation within each fold); no threshold "
        "was chosen. The curves stand among the figures.",
        time_to_event.tables,
    ),
    "subgroups": (
        "Subgroups",
        "Every group, and the gap of its primary metric to the rest of the patients. Small groups say little: look at the "
        "intervals.",
        _subgroups,
    ),
    "calibration_by_class": ("Calibration by class", "Intervals are by patient; ECE has none.", _by_class),
    "recalibration": (
        "Recalibration",
        "Fitted on patients kept apart from every choice, kept only where it improved their cross-fitted log loss; reported "
        "here even where it makes things worse.",
        _recalibration,
    ),
    "conformal": (
        "Conformal prediction", f"{_SETS}From validation to an official test set coverage is reported, not promised.", _conformal
    ),
    "conformal_by_class": (
        "Conformal prediction, by class", f"{_SETS}Here the promise holds for each class by itself.", _conformal
    ),
    "uncertainty": (
        "Uncertainty of single predictions",
        "Total uncertainty, and how much of it is noise in the data (aleatoric) or disagreement of the models (epistemic).",
        _uncertainty,
    ),
    "sample_size": (
        "Size of the next study",
        "How many patients another test set would need for intervals of a stated width, if it were like this one. A plan for "
        "precision, not for a test.",
        _sample_size,
    ),
    "selective": (
        "Selective prediction",
        "What remains if the model may abstain on the cases it is least sure of; abstained and unreadable cases stay in the "
        "worst-case denominator.",
        abstention.tables,
    ),
}  # fmt: skip
