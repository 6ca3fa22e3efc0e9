"""The run folder as one plain dict that holds everything the page shows, in its order."""

from typing import Any

from medjax.report import formats
from medjax.report.beside import compared, references
from medjax.report.page import cases, deep, flow, learning, masks, plots, rules, sections, slider, summary, tables
from medjax.report.page.figures import Drawn
from medjax.report.page.reading import RunFolder
from medjax.report.page.study import KEYS, Study
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import UNKNOWN, count, duration, memory, metric, setting, validation, value

_DUPLICATES = 20  # groups of identical cases that are listed


def build(
    run: RunFolder,
    study: Study,
    thumbnails: cases.Thumbnails | None = None,
    curve: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Gather the content.

    Args:
        run: as read.
        study: what the authors say; may be empty.
        thumbnails: case ids -> pictures (PNG or JPEG) of those that have one; None: no pictures.
        curve: the content of a learning curve's JSON; None: there is none.

    Returns:
        Plain data, but for "figures", "flow" and "training", which hold `Drawn`.
    """
    listed = cases.hardest(run)
    evaluated = plots.evaluated(run)
    data = run.record.get("data", {})
    title = study.get("title") or f"{run.config.get('name', run.name)}: {validation(run)}"
    return {
        "title": title + (" (SYNTHETIC data)" if data.get("synthetic") else ""),
        "subtitle": f"Data: {data.get('name', UNKNOWN)} {data.get('version', '')}; reported split: {run.split}",
        "summary": summary.sentences(run),
        "not_shown": summary.not_shown(run),
        "facts": _facts(run),
        "study": _study(study),
        "flow": flow.diagram(run),
        "table_one": tables.table_one(run),
        "results": tables.results(run),
        "warnings": formats.warnings(run.evaluation),
        "splits": tables.splits(run),
        "classes": tables.classes(run),
        "calibration": _calibration(run),
        "agreement": _agreement(run),
        "figures": evaluated,
        "confusion": tables.confusion(run),
        "slider": slider.data(run),
        "sections": [
            *sections.sections(run),
            *(rules.section(split, found) for split, found in run.treatments.items()),
            *([learning.section(curve)] if curve else []),
        ],
        "training": plots.trained(run),
        "cases": listed,
        "pictures": cases.pictures(listed, thumbnails),
        "audit": _audit(run),
        "deep": deep.deep(run.audit, run.suspects),
        "openings": _openings(run),
        "compute": _compute(run),
        "versions": _versions(run),
        "settings": _settings(run),
        "provenance": _provenance(run),
    }


def figures(content: dict[str, Any]) -> list[Drawn]:
    """All figures of a content, in the order of the page."""
    drawn = [figure for section in content["sections"] for figure in section["figures"]]
    return [content["flow"], *content["figures"], *drawn, *content["training"]]


def _facts(run: RunFolder) -> list[tuple[str, str]]:
    evaluation, primary = run.evaluation, str(run.evaluation.get("primary", ""))
    counts = evaluation.get("counts", {})
    unknown = isinstance(evaluation.get("about", {}).get("patients"), str)
    who = f"{count(counts.get('cases'), 'case')}, patients unknown" if unknown else (
        f"{count(counts.get('patients'), 'patient')}, {count(counts.get('cases'), 'case')}"
    )  # fmt: skip
    verdicts = [(compared(one, primary).get("verdict"), one["name"]) for one in references(evaluation)]
    verdict = "; ".join(f"{said} (beside {name})" for said, name in verdicts if said)
    level = f"{100 * evaluation.get('level', 0.95):g}"
    opened = "never opened" if "test" in run.record.get("data", {}).get("cases", {}) else "none"
    opened = f"opened {count(len(run.openings), 'time')} by this run" if run.openings else opened
    opened = "ledger damaged" if run.damaged else opened
    return [
        ("Validation", validation(run).split(" ", 1)[0]),
        ("Judged", who),
        (
            f"{metric(primary)} (primary), {level} % interval",
            value(evaluation.get("metrics", {}).get(primary), primary),
        ),
        ("Verdict", verdict or "nothing compared"),
        ("Test set", opened),
    ]


def _study(study: Study) -> dict[str, Any]:
    keys = ("intended_use", "intended_users", "target_population", "setting", "eligibility", "reference_standard",
            "outcome", "data_source", "data_dates", "out_of_scope", "limitations", "ethics")  # fmt: skip
    shown = [*keys, *(key for key in study if key not in keys and key != "title")]
    return {
        "rows": [[key.replace("_", " "), study[key]] for key in shown if key in study],
        "missing": [[key, KEYS[key]] for key in keys if key not in study],
    }


def _calibration(run: RunFolder) -> Table | None:
    """What the results table has no room for: the parts of the Brier score, ECE beside what perfection would give."""
    found = run.evaluation.get("calibration", {})
    rows = []
    for key, words in (("miscalibration", "miscalibration (0 is perfect)"), ("discrimination", "discrimination"),
                       ("uncertainty", "uncertainty (of the prevalence alone)")):  # fmt: skip
        if key in found.get("reliability", {}):
            rows.append([f"Brier score, {words}", f"{found['reliability'][key]:.4f}"])
    error = found.get("expected_calibration_error", {})
    if "estimate" in error:
        rows.append(["expected calibration error (ECE)", f"{error['estimate']:.4f}"])
        rows.append(["ECE that a perfectly calibrated model would show here", f"{error['expected_if_perfect']:.4f}"])
    if "index_of_prediction_accuracy" in found:
        index = value(found["index_of_prediction_accuracy"])
        rows.append(["index of prediction accuracy (1 is perfect, 0 tells the prevalence)", index])
    if found.get("band", {}).get("share_of_cases_outside") is not None:
        share = f"{100 * found['band']['share_of_cases_outside']:.3g} %"
        rows.append(["cases whose curve lies outside the grey band of the reliability figure", share])
    if not rows:
        return None
    return make("Calibration: Brier score = miscalibration - discrimination + uncertainty", ["", "value"], rows, [
        "The parts of the Brier score and ECE are descriptions without intervals: ECE is biased upwards, so compare the two. Intercept and slope, with "
        "intervals, stand in the table of results."])  # fmt: skip


def _agreement(run: RunFolder) -> Table | None:
    rows = plots.agreement_words(run)
    return make("Agreement of predicted and observed values", ["", "value", "method"], rows) if rows else None


def _audit(run: RunFolder) -> dict[str, Any]:
    audit = run.record.get("audit")
    if not audit:
        return {"rows": [["audit", UNKNOWN]], "duplicates": [], "more": 0, "conflicting": []}
    pairs = {key: ", ".join(f"{n} across {pair.replace('+', ' and ')}" for pair, n in (audit.get(key) or {}).items())
             for key in ("shared_patients", "across")}  # fmt: skip
    known = audit.get("patients_known")
    rows = [
        [
            "patients in two parts",
            (pairs["shared_patients"] or "none") if known else "cannot be checked: patients unknown",
        ],
        ["cases with identical inputs", count(audit.get("duplicate_cases"))],
        ["groups of them", count(audit.get("duplicate_groups"))],
        ["groups that reach across parts", pairs["across"] or "none"],
        [
            "groups within a part",
            ", ".join(f"{n} in {part}" for part, n in (audit.get("within") or {}).items()) or "none",
        ],
        ["identical inputs with different targets", count(len(audit.get("conflicting", [])), "group")],
    ]
    about = run.evaluation.get("about", {})
    rows += [[key, about[key]] for key in ("leak", "unchecked") if about.get(key)]
    groups = [
        "; ".join(f"{'fold ' if part.isdigit() else ''}{part}: {', '.join(ids)}" for part, ids in group.items())
        for group in audit.get("duplicates", [])
    ]
    others = [[key.replace("_", " "), f"{len(found)} found" if isinstance(found, list | dict) else str(found)]
              for key, found in audit.items() if key not in _AUDIT_KEYS]  # fmt: skip
    return {
        "rows": rows + others,
        "duplicates": groups[:_DUPLICATES],
        "more": max(len(groups) - _DUPLICATES, 0),
        "conflicting": [", ".join(ids) for ids in audit.get("conflicting", [])[:_DUPLICATES]],
    }


_AUDIT_KEYS = (
    "cases", "patients", "patients_known", "shared_patients", "duplicate_groups", "duplicate_cases", "across", "within",
    "duplicates", "conflicting",
)  # fmt: skip


def _openings(run: RunFolder) -> dict[str, Any]:
    rows = [
        [str(entry.get("number", "?")), str(entry.get("time", UNKNOWN)), str(entry.get("command", UNKNOWN)),
         str(entry.get("plan", UNKNOWN))[:8], str(entry.get("model", UNKNOWN))[:8]]
        for entry in run.openings
    ]  # fmt: skip
    table = (
        make("Openings in this run's ledger", ["number", "time", "command", "plan", "model"], rows) if rows else None
    )
    return {"words": summary.openings(run), "table": table, "damaged": bool(run.damaged)}


def _compute(run: RunFolder) -> list[list[str]]:
    record = run.record
    devices, seconds = record.get("devices", {}), record.get("seconds")
    accelerated = devices.get("platform") not in (None, "cpu")
    hours = UNKNOWN
    if devices.get("platform") == "cpu":
        hours = "none (trained on a CPU)"
    elif accelerated and seconds is not None and devices.get("count"):
        hours = f"{seconds * devices['count'] / 3600:.3g} (wall time x {devices['count']} devices)"
    peak = [f"{name.replace('_', ' ')} {memory(size)}" for name, size in record.get("memory", {}).items()]
    mesh = ", ".join(f"{name} {size}" for name, size in record.get("mesh", {}).items())
    return [
        ["devices", f"{devices.get('count', UNKNOWN)} x {devices.get('kind', UNKNOWN)}"],
        ["wall time, training and evaluation", duration(seconds)],
        ["of it until the first step", duration(record.get("seconds_to_first_step"))],
        ["accelerator hours", hours],
        ["peak memory", ", ".join(peak) or UNKNOWN],
        ["models trained", count(len(record["replicates"]) if "replicates" in record else None)],
        ["steps of each", count(record.get("steps"))],
        ["mesh", mesh or UNKNOWN],
        ["energy", UNKNOWN],
    ]


def _versions(run: RunFolder) -> list[list[str]]:
    record, data = run.record, run.record.get("data", {})
    seeds = ", ".join(str(one.get("seed")) for one in record.get("replicates", [])[:8])
    more = f" and {len(record['replicates']) - 8} more" if len(record.get("replicates", [])) > 8 else ""
    return [
        ["command", str(record.get("command", UNKNOWN))],
        ["trained", f"{record.get('started', UNKNOWN)} to {record.get('finished', UNKNOWN)}"],
        ["code", str(record.get("commit") or UNKNOWN)],
        ["seed", str(record.get("seed", UNKNOWN))],
        ["seeds of the models", (seeds + more) or UNKNOWN],
        ["plan (model, threshold, metrics)", str(record.get("plan_hash", UNKNOWN))],
        ["model", str(record.get("plan", {}).get("model", UNKNOWN))],
        ["data", str(data.get("fingerprint", UNKNOWN))],
        ["split", str(data.get("split_fingerprint", UNKNOWN))],
        *([name, str(version)] for name, version in record.get("versions", {}).items()),
    ]


def _settings(run: RunFolder) -> list[list[str]]:
    return [[key, setting(found)] for key, found in run.config.items() if key != "class"]


def _provenance(run: RunFolder) -> list[list[str]]:
    where = f"evaluation/{run.split}.json"
    scores = f"predictions/{run.split}.csv"
    rows = [
        ["data flow, Table 1", f"record.json (data, audit), evaluation/*.json (counts), {scores}"],
        ["results, differences, confusion matrix", f"{where} (metrics, reference, comparison, "
         "further_references, confusion_matrix)"],
        ["ROC, precision-recall, reliability", f"{scores}, mean over the seeds; bands drawn for this page with the run's seed"],
        ["decision curve", f"{where} (decision_curve)" if run.evaluation.get("decision_curve") else f"{scores}, computed "
         "for this page"],
        ["operating-point slider", f"{scores}, recounted in your browser; frozen threshold from {where}"],
        ["training curves", "metrics.jsonl"],
        ["single cases", scores],
        ["leak audit, compute, versions", "record.json"],
        *([["deep leak audit", "report/audit.json, report/suspects.png"]] if run.audit else []),
        *([["value of treatment rules", ", ".join(f"treatment/{split}.json" for split in run.treatments)]]
          if run.treatments else []),
        ["openings of the test set", "test_ledger.json, whose entries are chained by hashes"],
        ["settings", "config.json"],
        ["intended use, setting and the like", "study.toml, as its authors wrote it"],
    ]  # fmt: skip
    if run.judged.kind == "survival":
        rows[2] = ["survival by risk group, calibration", f"{where} (survival)"]
        rows = [row for row in rows if row[0] not in ("decision curve", "operating-point slider")]
    if run.judged.kind == "segmentation":
        rows[2] = ["overlays", f"predictions/{run.split}_overlays.npz"]
        rows.insert(3, ["spread of the cases, agreement of volumes", f"{scores}, {masks.whose(run.judged)}"])
        rows = [row for row in rows if row[0] not in ("decision curve", "operating-point slider")]
    if run.judged.kind == "value":
        rows[2] = ["predicted against observed, agreement", f"{scores}, mean over the seeds"]
        rows = [row for row in rows if row[0] not in ("decision curve", "operating-point slider")]
    return rows
