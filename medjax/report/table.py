"""The results table that a clinician-scientist trusts: plain text of at most 108 columns, from the evaluation alone."""

from medjax.report import formats, mask_lines
from medjax.report.beside import compared, references

LABELS_SHOWN = 20  # of more labels the rest is in the JSON only
_ENOUGH = 30  # patients with and without a label


def results_table(evaluation: dict, header: dict | None = None) -> str:
    """The table, from the content of evaluation/<split>.json and a header that may lack any key.

    Header keys: `title`, `validation` (kind, such as "INTERNAL cross-validation" or "EXTERNAL"), `folds`, `seeds`,
    `positive`, `cases`, `patients` (a number, or "patients unknown (taken as independent)"), `excluded`, `missing`,
    `duplicates`, `components` (which were kept of a mask), `plan` (hash), `opening` (line), `leak` and `unchecked` (lines), `name` (of our column).
    """
    header = header or evaluation.get("about", {})
    lines = [*_heading(evaluation, header), "", *_body(evaluation, header)]
    lines += ["", *_below(evaluation, header)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


# Parts.


def _heading(evaluation: dict, header: dict) -> list[str]:
    counts = evaluation.get("counts", {})
    folds, seeds = header.get("folds", counts.get("folds")), header.get("seeds", counts.get("seeds"))
    title = f"{header.get('title', 'Results')}: {header.get('validation', 'validation')}"
    if folds and seeds:
        title += f", {folds} folds x {seeds} seed{'s' * (seeds != 1)}, out-of-fold"
    elif seeds:
        title += f", {seeds} seed{'s' * (seeds != 1)}"
    positive = header.get("positive", counts.get("positive"))
    if positive is not None:
        title += f"; positive class: {positive}"
    parts = []
    cases = header.get("cases", counts.get("cases"))
    patients = header.get("patients", counts.get("patients"))
    if patients is not None and not isinstance(patients, str):
        patients = f"{patients} patients"
    parts.append(", ".join(str(part) for part in (f"{cases} cases" if cases is not None else None, patients) if part))
    classes = counts.get("classes", {})
    if evaluation.get("kind") == "survival":
        parts += follow_up(counts, header.get("unit", ""))
    if evaluation.get("kind") == "labels":
        unknown = sum(count["unknown"] for count in classes.values())
        parts.append(f"{len(classes)} labels")
        if unknown:
            parts.append(f"{formats.percent(unknown / (counts['cases'] * len(classes)))} of the answers unknown")
    elif positive in classes and counts.get("cases"):
        events = classes[positive]["cases"]
        parts.append(f"{events} {positive} ({formats.percent(events / counts['cases'])})")
    elif classes:
        parts.append(", ".join(f"{count['cases']} {name}" for name, count in classes.items()))
    parts += [f"{header[key]} {key}" for key in ("excluded", "missing", "duplicates") if header.get(key) is not None]
    if counts.get("without_target"):
        parts.append(f"{counts['without_target']} without target")
    if header.get("components"):
        parts.append(header["components"])
    if header.get("trials"):
        parts.append(f"1 of {header['trials']} trials, chosen on validation")
    if header.get("plan"):
        parts.append(f"plan {header['plan']}")
    lines = formats.join(title.split("; ")) + formats.join([part for part in parts if part])
    lines += formats.wrap(f"LEAK: {header['leak']}") if header.get("leak") else []
    lines += formats.wrap(f"NOT CHECKED: {header['unchecked']}") if header.get("unchecked") else []
    return lines + (formats.wrap(str(header["opening"])) if header.get("opening") else [])


def follow_up(counts: dict, unit: str) -> list[str]:
    """Events, censored cases and how long they were watched, each as a few words."""
    unit = f" {unit}" if unit else ""
    named = counts.get("events_by_cause") or {"the event": counts["events"]}
    parts = [f"{events} with {name}" for name, events in named.items()] + [f"{counts['censored']} censored"]
    if counts["median_follow_up"] is not None:
        parts.append(f"median follow-up {counts['median_follow_up']:.4g}{unit}")
    return [
        *parts,
        f"times in{unit}, judged up to {counts['until']:g}" if unit else f"judged up to {counts['until']:g}",
    ]


def row_label(name: str, evaluation: dict) -> str:
    """What stands before a metric: its name, whether it is a macro average or the primary one, threshold, prevalence."""
    if evaluation.get("kind") == "labels":
        label = formats.label(name) + (", macro" if name in formats.MACRO_LABELS else "")
        return label + ("  [primary]" if name == evaluation.get("primary") else "")
    if name == "volume_error":
        return mask_lines.with_unit(formats.NAMES[name], evaluation)
    if name in ("interval_coverage", "interval_width"):
        nominal = evaluation["metrics"]["interval_coverage"]["nominal"]
        return f"{formats.percent(nominal)} interval: {name.removeprefix('interval_')}"
    binary = evaluation.get("threshold") is not None
    label = formats.label(name) if binary else formats.MACRO.get(name, formats.label(name))
    counts = evaluation.get("counts", {})
    if name in ("sensitivity", "specificity") and binary:
        label += f", thr. {formats.threshold(evaluation['threshold'])}"
    if name in ("positive_predictive_value", "negative_predictive_value") and "prevalence" in counts:
        label += f" at {formats.percent(counts['prevalence'])}"
    return label + ("  [primary]" if name == evaluation.get("primary") else "")


def _body(evaluation: dict, header: dict) -> list[str]:
    seeds = header.get("seeds", evaluation.get("counts", {}).get("seeds"))
    ours = f"{header.get('name', 'medjax')}" + (f" ({seeds} seed{'s' * (seeds != 1)})" if seeds else "")
    first, *others = references(evaluation) or [{"name": "", "metrics": {}, "comparison": {}}]
    lines = [formats.row("", ours, first["name"], "paired difference" if first["comparison"] else "")]
    metrics = evaluation.get("metrics", {})
    primary = evaluation.get("primary")
    for name in sorted(metrics, key=lambda name: name != primary):
        entry, difference = metrics[name], compared(first, name)
        decimals = max(formats.decimals(entry), 3 if name == primary else 2)
        cells = [
            formats.cell(entry, decimals, name),
            formats.cell(first["metrics"].get(name), decimals, name),
        ]
        cells.append(formats.cell(difference, max(decimals, 3), name, signed=True))
        lines.append(formats.row(row_label(name, evaluation), *cells))
        if name == primary and difference and "verdict" in difference:
            lines.append(formats.row("", "", "", formats.short(difference["verdict"])))
        if entry.get("one_curve_for_all") is not None:
            known = f"{formats.label(name)} (KM {formats.fixed(entry['one_curve_for_all'], 3)})"
            lines[-1] = formats.row(known + ("  [primary]" if name == primary else ""), *cells)
        if name == "brier" and "base_rate_alone" in entry:
            lines[-1] = formats.row(f"Brier (base rate {formats.fixed(entry['base_rate_alone'], 3)})", *cells)
    for label, entry in extra_rows(evaluation):
        lines.append(formats.row(label, formats.cell(entry, 2 if formats.decimals(entry) < 3 else 3)))
    lines += _classes(evaluation)
    for other in others:
        lines += _other(other, evaluation)
    return lines


def _other(reference: dict, evaluation: dict) -> list[str]:
    """A further reference: its metrics, and what ours differ by, in the two columns behind the names."""
    lines = ["", formats.row("", reference["name"], "paired difference")]
    primary = evaluation.get("primary")
    for name in sorted(evaluation.get("metrics", {}), key=lambda name: name != primary):
        entry, difference = reference["metrics"].get(name), compared(reference, name)
        decimals = max(formats.decimals(entry or {}), 3 if name == primary else 2)
        cells = formats.cell(entry, decimals, name), formats.cell(difference, max(decimals, 3), name, signed=True)
        lines.append(formats.row(row_label(name, evaluation), *cells))
        if name == primary and "verdict" in difference:
            lines.append(formats.row("", "", formats.short(difference["verdict"])))
    return lines


def extra_rows(evaluation: dict) -> list[tuple[str, dict]]:
    """Rows below the metrics: predictive values at stated prevalences, threshold .50, calibration, net benefit."""
    rows = []
    for item in evaluation.get("predictive_values", []):
        for key in ("positive_predictive_value", "negative_predictive_value"):
            rows.append((f"{formats.NAMES[key]} at {formats.percent(item['prevalence'])} (stated)", item[key]))
    rows += [
        (f"{formats.NAMES[name]}, thr. .50", entry) for name, entry in evaluation.get("at_threshold_half", {}).items()
    ]
    for name in ("intercept", "slope"):
        if name in evaluation.get("calibration", {}):
            rows.append((f"calibration {name}", evaluation["calibration"][name]))
    for item in evaluation.get("net_benefit", []):
        everyone = item["treat_all"]["estimate"]
        label = f"net benefit at {formats.threshold(item['threshold'])}"
        rows += [(label, item["model"])]
        if everyone is not None:
            rows.append(("  over treating all" if everyone > 0 else "  over treating none", item["difference"]))
    return rows


def _classes(evaluation: dict) -> list[str]:
    """One line a class against the rest, where there are more than two; a line a label or mask, in two blocks."""
    classes = evaluation.get("classes", {})
    if evaluation.get("kind") == "segmentation":
        blocks = mask_lines.class_rows(evaluation), mask_lines.volume_rows(evaluation)
        return [line for rows in blocks if rows for line in ("", *(formats.row(*cells) for cells in rows))]
    if evaluation.get("kind") == "labels":
        counts = evaluation["counts"]["classes"]
        heads = {name: f" {count['cases']}/{count['cases'] + count['negative']}" for name, count in counts.items()}
        lines = _block(classes, "label, cases/known", ("auroc", "auprc", "f1"), heads)
        return lines + _block(classes, "label", ("sensitivity", "specificity", "positive_predictive_value"), {})
    if len(classes) < 3:
        return []
    return _block(classes, "class against the rest", ("auroc", "sensitivity", "positive_predictive_value"), {})


def _block(classes: dict, head: str, metrics: tuple[str, ...], counts: dict[str, str]) -> list[str]:
    """A line for each class or label with three metrics, and after its name a count."""
    lines = ["", formats.row(head, *(formats.NAMES[metric] for metric in metrics))]
    for name, entries in list(classes.items())[:LABELS_SHOWN]:
        count = counts.get(name, "")
        room = 23 - len(count)
        label = formats.clipped(name, room) + count
        lines.append(
            formats.row(label, *(formats.cell(entries[key], formats.decimals(entries[key])) for key in metrics))
        )
    if len(classes) > LABELS_SHOWN:
        lines.append(f"  and {len(classes) - LABELS_SHOWN} more in the JSON of this evaluation")
    return lines


def _below(evaluation: dict, header: dict) -> list[str]:
    primary, lines = str(evaluation.get("primary", "")), []
    entry = evaluation.get("metrics", {}).get(primary, {})
    label, seeds = formats.label(primary), entry.get("seeds", {})
    spread = []
    if seeds.get("standard_deviation") is not None:
        mean = formats.number(seeds["mean"], 3, primary)
        spread.append(
            f"single seeds, {label}: mean {mean}, sd {formats.number(seeds['standard_deviation'], 4, primary)}"
        )
    folds = evaluation.get("folds", {})
    if folds.get("minimum") is not None:
        ends = (formats.number(folds[end], 3, primary) for end in ("minimum", "maximum"))
        spread.append("folds: min {}, max {}".format(*ends))
    lines += formats.wrap("; ".join(spread)) if spread else []
    several = references(evaluation)
    for reference in several:
        methods = reference["comparison"].get("methods", {}).get(primary)
        if methods and methods.get("low") is not None:
            cell = formats.cell(methods, 3, primary, signed=True)
            beside = f" to {reference['name']}" if len(several) > 1 else ""
            lines += formats.wrap(
                f"As methods (single models; patients and seeds vary), {label} difference{beside}: {cell}"
            )
    lines += _matrix(evaluation) + formats.wrap(chosen_words(evaluation)) + _rules(evaluation) + _reserved(evaluation)
    groups: dict[str, list[str]] = {}
    for name, one in evaluation.get("metrics", {}).items():
        groups.setdefault(one.get("method", "none"), []).append(formats.label(name))
    methods_text = "; ".join(f"{', '.join(names)}: {method}" for method, names in groups.items())
    methods_text = methods_text.replace(", conditional on the fold models", "") + "." * bool(groups)
    condition = evaluation.get("conditional_on", "the trained models")
    level = f"{100 * evaluation.get('level', 0.95):g} %"
    lines += formats.wrap(
        f"Intervals: {level}; conditional on {condition}, training-set variation not included. {methods_text}"
    )
    nearest = compared(several[0], primary) if several else {}
    to = f" to {several[0]['name']}" if len(several) > 1 else ""
    detectable = nearest.get("smallest_detectable_difference")
    closing = ""
    if detectable:
        closing = f"Smallest {label} difference{to} detectable here with power .80: {formats.number(detectable, 3, primary)}. "
    elif alone := evaluation.get("smallest_detectable_difference"):
        closing = (
            f"Smallest {label} difference to a fixed value, such as a published one, detectable here with power .80: about "
            f"{formats.number(alone, 2, primary) if primary in formats.UNBOUNDED else formats.rough(alone)}. "
        )
    needed = nearest.get("needed_for_non_inferiority", {})
    if needed.get("patients"):
        closing += (
            f"Patients that equal models need for non-inferiority within {formats.short(format(needed['margin'], 'g'))}: "
            f"{needed['patients']:,} ({needed['low']:,} to {needed['high']:,}). "
        )
    external = "external" in str(header.get("validation", "")).lower()
    closing += "Evidence for these patients' sites only." if external else "Not evidence for other hospitals."
    lines += formats.wrap(closing)
    for text in formats.warnings(evaluation):
        lines += formats.wrap(f"WARNING, {text}")
    return lines + _scarce_labels(evaluation)


def _log_rank(evaluation: dict) -> list[str]:
    """Whether thirds of predicted risk differ, a line a cause."""
    lines: list[str] = []
    for cause, found in evaluation.get("survival", {}).items():
        test, curves = found["groups"]["log_rank"], found["groups"]["curves"]
        events = ", ".join(f"{name} {one['events']}/{one['cases']}" for name, one in curves.items())
        if "p_value" in test:
            p = "p < .001" if test["p_value"] < 0.001 else f"p = {formats.fixed(test['p_value'], 3)}"
            told = f"log-rank chi-squared {test['statistic']:.1f} on {test['degrees']} degrees of freedom, {p}"
        else:
            told = test["reason"]
        what = f" of '{cause}'" if len(evaluation["survival"]) > 1 else ""
        lines += formats.wrap(f"Thirds of predicted risk{what}, events/cases: {events}; {told}.")
    return lines


def chosen_words(evaluation: dict) -> str:
    """By which rule the threshold was chosen, and what it attained where it was; "" where it was stated."""
    chosen = evaluation.get("chosen")
    if not chosen:
        return ""
    rates = ", ".join(
        f"{name} {formats.cell(chosen[name], formats.decimals(chosen[name]))}"
        for name in ("sensitivity", "specificity")
    )
    note = chosen.get("target", {}).get("note", "")
    text = f"Threshold {formats.threshold(chosen['threshold'])} by the rule '{chosen['rule']}' on validation: {rates}"
    return f"{text}; {note}" if note else text


def _reserved(evaluation: dict) -> list[str]:
    """Where decisions gain; what was fitted on patients kept apart, and whether it helps on these cases."""
    curve = evaluation.get("decision_curve")
    lines = (
        formats.wrap(f"Decision curve, against treating all and none: {formats.short(curve['summary'])}.")
        if curve
        else []
    )
    recalibrated, sets = evaluation.get("recalibration"), evaluation.get("conformal")
    if recalibrated and recalibrated["method"] == "none":
        lines += formats.wrap(f"Recalibration: none, {recalibrated.get('reason', 'not fitted')}")
    elif recalibrated:
        loss = recalibrated["log_loss"]
        lines += formats.wrap(
            f"Recalibration ({recalibrated['method']}, fitted on patients kept apart; not applied above): log loss "
            f"{formats.fixed(loss['before'], 3)} to {formats.fixed(loss['after'], 3)}, difference "
            f"{formats.cell(loss['difference'], 3, 'log_loss', signed=True)}"
        )
    if sets:
        size = sets.get("mean_set_size") or sets.get("mean_width")
        what = "set holds" if "mean_set_size" in sets else "interval holds"
        nominal, covered = formats.fixed(sets["nominal"], 2), formats.cell(sets["coverage"], 3)
        lines += formats.wrap(
            f"Conformal {nominal}: the {what} the truth for {covered} of the patients, mean size "
            f"{formats.number(size['estimate'], 2)}; promised only for patients like those it was fitted on"
        )
    kept = (evaluation.get("selective") or {}).get("frozen")
    if kept:
        lines += formats.wrap(
            f"The least sure left to a person: answered {formats.cell(kept['coverage'], 3)}, accuracy of the answers "
            f"{formats.cell(kept['accuracy_kept'], 3)}, were all others wrong {formats.cell(kept['accuracy_worst'], 3)}"
        )
    return lines


def _rules(evaluation: dict) -> list[str]:
    """What a reader must know of how the predictions became decisions and the labels one number."""
    if evaluation.get("kind") == "segmentation":
        told = evaluation.get("pooled", ""), mask_lines.medians(evaluation), mask_lines.empties(evaluation)
        return [line for text in told if text for line in formats.wrap(text)]
    if evaluation.get("kind") == "survival":
        return formats.wrap(
            "IPA: 1 - Brier score / that of one Kaplan-Meier curve for all (KM). Observed/expected: share with the event / "
            "mean prediction. Cases that were censored are stood for by inverse probability of censoring."
        ) + _log_rank(evaluation)
    if evaluation.get("kind") == "grade":
        return formats.wrap(
            "Predicted grade: the median of the probabilities. Weighted kappa: Cohen's, quadratic weights."
        )
    if evaluation.get("kind") == "labels":
        at = formats.threshold(evaluation["threshold"])
        return formats.wrap(
            f"Macro: unweighted mean over labels, unknown answers left out; yes: probability of at least {at}, one "
            "threshold for all labels. Intervals of single labels are not adjusted for their number."
        )
    return []


def _scarce_labels(evaluation: dict) -> list[str]:
    if evaluation.get("kind") != "labels":
        return []
    few = [
        f"{name} {word} {count[key]}"
        for name, count in evaluation["counts"]["classes"].items()
        for key, word in (("patients", "with"), ("negative_patients", "without"))
        if count[key] < _ENOUGH
    ]
    return formats.wrap(f"WARNING, single labels: fewer than {_ENOUGH} patients: {', '.join(few)}.") if few else []


def _matrix(evaluation: dict) -> list[str]:
    matrix, names = evaluation.get("confusion_matrix"), list(evaluation.get("counts", {}).get("classes", {}))
    if not matrix or len(names) != len(matrix) or len(names) > 12:
        return []
    rows = [f"{name}: {' '.join(str(count) for count in row)}" for name, row in zip(names, matrix, strict=True)]
    return formats.wrap(f"Confusion matrix (true class: predicted {', '.join(names)}): {'; '.join(rows)}")
