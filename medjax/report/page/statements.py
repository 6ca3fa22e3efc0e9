"""What a run can say about itself, a sentence a topic, for the model card and the reporting checklists.

A topic that the run folder does not answer is absent; nothing is guessed.
"""

from typing import Any

from medjax.report.beside import compared, references
from medjax.report.page import flow
from medjax.report.page.reading import RunFolder
from medjax.report.page.wording import count, duration, interval, metric, percent, setting, validation

Statements = dict[str, str]


def statements(run: RunFolder) -> Statements:
    """Return the sentences by topic."""
    found: Statements = {}
    for part in (_study, _data, _model, _training, _judging, _results):
        found |= part(run)
    return {topic: text for topic, text in found.items() if text}


def _config(run: RunFolder, *keys: str) -> Any:
    found: Any = run.config
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _output(run: RunFolder) -> str:
    """What is predicted."""
    classes = ", ".join(run.judged.classes)
    if run.judged.kind == "segmentation":
        return f"Predicted: for every pixel or voxel whether it is background or {classes}."
    if not classes:
        return "Predicted: a value."
    return f"Predicted: {'' if run.judged.kind == 'labels' else 'one of '}{classes} (probabilities)."


def _study(run: RunFolder) -> Statements:
    data = run.record.get("data", {})
    model = setting({"class": (_config(run, "model") or {}).get("class", "")})
    kind = "development and " + validation(run)
    return {
        "identity": f"Deep learning ({model}): {kind} of a model for {_config(run, 'name')}.",
        "kind": f"This run is the {kind}.",
        "output": _output(run),
        "data": f"Data set: {data.get('name')} {data.get('version', '')}".rstrip()
        + (", SYNTHETIC." if data.get("synthetic") else "."),
        "goal": "A model is developed and judged on stored cases; the run does not know how they were collected.",
    }


def _data(run: RunFolder) -> Statements:
    data, audit = run.record.get("data", {}), run.record.get("audit", {})
    parts, left_out = flow.parts(run), flow.reasons(run)
    cases = ", ".join(f"{'fold ' if name.isdigit() else ''}{name} {number}" for name, number in parts.items())
    splits = _config(run, "data", "splits")
    how = f"Parted by {setting(splits)}" if splits else "Parted by the data set's own splits"
    level = "by patient" if audit.get("patients_known") else "by case, since patients are not known (each its own)"
    texts = {"split": f"{how}: {cases}." if parts else "", "disjoint": f"Parts are disjoint {level}."}
    if audit.get("patients_known") and not audit.get("shared_patients"):
        texts["disjoint"] += " The audit found no patient in two parts."
    if audit:
        texts["size"] = f"{count(audit.get('cases'), 'case')} of " + (
            count(audit.get("patients"), "patient") if audit.get("patients_known") else "an unknown number of patients"
        )
        texts["size"] += f"; judged: {count(run.evaluation.get('counts', {}).get('cases'), 'case')}."
    if left_out is not None:
        total = sum(left_out.values())
        texts["excluded"] = f"{count(total, 'case')} left out" + (
            ": " + "; ".join(f"{n} {why}" for why, n in list(left_out.items())[:5]) if left_out else ""
        )
        texts["excluded"] += "."
    missing = data.get("missing")
    if missing is not None:
        texts["missing"] = f"{count(missing, 'development case')} with a missing input value; outcome missing in "
        texts["missing"] += f"{run.evaluation.get('counts', {}).get('without_target', 0)} judged cases."
    columns, excluded = data.get("columns") or [], _config(run, "data", "exclude") or []
    inputs = ", ".join(_config(run, "data", "inputs") or [])
    texts["inputs"] = f"Inputs: {inputs}" + (f" with {len(columns)} columns" if columns else "")
    texts["inputs"] += (f"; left out by name: {', '.join(excluded)}." if excluded else ".") if inputs else ""
    steps = [setting(one) for one in _config(run, "preprocess") or []]
    standardised = ", ".join(_config(run, "standardise") or [])
    steps += [f"{standardised} standardised with training cases only"] if standardised else []
    texts["preprocessing"] = f"Preprocessing: {'; '.join(steps) if steps else 'none'}."
    if audit:
        duplicates = count(audit.get("duplicate_cases"), "case")
        across = ", ".join(f"{n} groups across {pair}" for pair, n in audit.get("across", {}).items())
        conflicts = len(audit.get("conflicting", []))
        texts["audit"] = f"Leak audit: {duplicates} with identical inputs ({across or 'none across parts'}), "
        texts["audit"] += f"{count(conflicts, 'group')} of identical inputs with different targets."
    return texts


def _model(run: RunFolder) -> Statements:
    head, classes = _config(run, "model"), run.judged.classes
    text = f"Architecture: {setting(head)}." if head else ""
    return {
        "model": text,
        "initialisation": f"Random initialisation, seed {run.record.get('seed')}." if "seed" in run.record else "",
        "outputs": f"One probability a class: {', '.join(classes)}." if classes else "One number a case.",
    }


def _training(run: RunFolder) -> Statements:
    training, optimizer, task = (_config(run, key) or {} for key in ("training", "optimizer", "task"))
    members = run.record.get("replicates", [])
    seeds = len({member.get("seed_number") for member in members})
    text = f"Trained for {run.record.get('steps')} steps of {run.record.get('batch')} cases"
    text += f" with {setting(optimizer.get('transform'))}, learning rate {setting(optimizer.get('learning_rate'))}"
    text += f"; loss {setting(task.get('loss'))}; augmentation "
    text += f"{setting([one for one in _config(run, 'augment') or []])}; {count(seeds, 'seed')}."
    select = training.get("select")
    weights, focal = task.get("class_weights") or task.get("positive_weights"), task.get("focal")
    balance = [f"class weights {setting(weights)}"] if weights else []
    balance += [f"focal loss, gamma {focal:g}"] if focal else []
    return {
        "training": text,
        "selection": f"Parameters kept: best validation {metric(select)}, per replicate." if select
        else "Parameters kept: the last ones; nothing was selected.",
        "tuning": "The run itself tunes no hyperparameters; whether other runs did is not in this folder.",
        "ensemble": f"The reported predictor is the mean of {count(seeds, 'model')} (seeds) a case." if seeds else "",
        "imbalance": f"Class imbalance: {'; '.join(balance)}." if balance else "No class weights and no resampling.",
        "software": ", ".join(f"{name} {version}" for name, version in run.record.get("versions", {}).items()),
        "compute": f"{duration(run.record.get('seconds'))} on {run.record.get('devices', {}).get('count')} x "
        f"{run.record.get('devices', {}).get('kind')}." if run.record.get("devices") else "",
    }  # fmt: skip


def _judging(run: RunFolder) -> Statements:
    evaluation, settings = run.evaluation, _config(run, "evaluation") or {}
    names = ", ".join(metric(name) for name in evaluation.get("metrics", {}))
    methods = sorted({str(one.get("method")) for one in evaluation.get("metrics", {}).values()})
    texts = {
        "metrics": f"Primary metric {metric(evaluation.get('primary', ''))}; also {names}; calibration and net benefit "
        "where there are two classes.",
        "uncertainty": f"{100 * evaluation.get('level', 0.95):g} % intervals by patient: {'; '.join(methods)}.",
        "predicting": "Predictions: predictions/*.csv; new ones by 'medjax predict RUN CASES'.",
        "plan": f"Model, threshold and metrics were frozen before the test set could be opened: plan "
        f"{run.record['plan_hash'][:8]}." if run.record.get("plan_hash") else "",
    }  # fmt: skip
    if evaluation.get("threshold") is not None:
        rule = settings.get("threshold")
        where = f"chosen on validation cases ({rule})" if isinstance(rule, str) else "stated beforehand"
        texts["threshold"] = f"Threshold {evaluation['threshold']:.4g}, {where}, then frozen."
    reference = settings.get("reference")
    if reference:
        several = reference if isinstance(reference, list) else [reference]
        texts["reference"] = f"Compared on the same cases with {' and '.join(setting(one) for one in several)}"
        texts["reference"] += f", margin {settings['margin']:g}." if settings.get("margin") is not None else "."
    kind = validation(run)
    texts["internal" if kind.startswith("internal") else "external"] = f"{kind[0].upper()}{kind[1:]}."
    outside = [name for name in run.evaluations if name.startswith("external")]
    if outside:
        texts["external"] = f"External validation: {', '.join(outside)}."
    if run.evaluation.get("recalibration"):
        texts["recalibration"] = "Recalibration was examined; see the report."
    if run.evaluation.get("subgroups"):
        texts["subgroups"] = "Subgroups were examined; see the report."
    return texts


def _results(run: RunFolder) -> Statements:
    evaluation = run.evaluation
    counts, primary = evaluation.get("counts", {}), str(evaluation.get("primary", ""))
    found = interval(evaluation.get("metrics", {}).get(primary), primary)
    classes = "; ".join(f"{name} {one.get('cases')}" for name, one in counts.get("classes", {}).items())
    texts = {
        "performance": f"{metric(primary)} {found}; {count(counts.get('cases'), 'case')}.",
        "events": f"Judged cases by class: {classes}." if classes else "",
        "errors": "The most confidently wrong cases are listed in the report; nobody has examined them here.",
    }
    for name, text in (("sensitivity", "sensitivity"), ("specificity", "specificity")):
        if name in evaluation.get("metrics", {}):
            texts["accuracy"] = texts.get("accuracy", "Diagnostic accuracy:")
            texts["accuracy"] += f" {text} {interval(evaluation['metrics'][name], name)};"
    if "accuracy" in texts:
        texts["accuracy"] = texts["accuracy"].rstrip(";") + "."
    differences = [(one["name"], compared(one, primary)) for one in references(evaluation)]
    told = [
        f"Difference to {name}: {interval(found, primary, signed=True)}, {found.get('verdict')}."
        for name, found in differences
        if found
    ]
    if told:
        texts["comparison"] = " ".join(told)
    if counts.get("prevalence") is not None:
        texts["prevalence"] = f"Prevalence of {counts.get('positive')}: {percent(counts['prevalence'])}."
    return texts
