"""The first paragraph of the page: what was judged, how, with what result, and what it does not show."""

from medjax.report.beside import compared, references
from medjax.report.page.reading import RunFolder
from medjax.report.page.wording import UNKNOWN, count, interval, metric, validation


def openings(run: RunFolder) -> str:
    """How often the test set was opened, as the run's own ledger and the reported evaluation say."""
    if run.damaged:
        return f"The ledger of test set openings is damaged ({run.damaged}); how often it was opened cannot be said."
    number = len(run.openings)
    if not number:
        sealed = "test" in run.record.get("data", {}).get("cases", {})
        return "The sealed test set was never opened by this run." if sealed else "This run has no sealed test set."
    said = str(run.evaluations.get("test", {}).get("about", {}).get("opening", ""))
    across = f"; counted over all runs on the same test cases: {said}" if said else ""
    return f"This run opened its test set {'once' if number == 1 else f'{number} times'}{across}."


def judged(run: RunFolder) -> str:
    """Cases and patients of the reported split."""
    counts, about = run.evaluation.get("counts", {}), run.evaluation.get("about", {})
    cases = count(counts.get("cases"), "case")
    if isinstance(about.get("patients"), str):
        return f"{cases}; which patient each belongs to is unknown, so each case is taken as one patient"
    return f"{count(counts.get('patients'), 'patient')} with {cases}"


def sentences(run: RunFolder) -> list[str]:
    """The paragraph, a sentence an entry."""
    evaluation, about = run.evaluation, run.evaluation.get("about", {})
    primary, counts = str(evaluation.get("primary", "")), evaluation.get("counts", {})
    kind = validation(run)
    text = [f"This is an {kind}." if kind[0] in "aeiou" else f"This is {kind}."]
    if run.record.get("data", {}).get("synthetic"):
        text.append("The data are SYNTHETIC: nothing here has been shown on people.")
    text.append(f"Judged were {judged(run)}.")
    if counts.get("positive") and counts.get("prevalence") is not None:
        text.append(f"{100 * counts['prevalence']:.3g} % of them are {counts['positive']}.")
    if run.judged.kind == "survival":
        text.append(f"{counts.get('events', UNKNOWN)} had the event, {counts.get('censored', UNKNOWN)} were censored.")
    if run.judged.kind == "segmentation" and len(run.judged.classes) > 1:
        text.append(
            f"Metrics are means over the classes {', '.join(run.judged.classes)} within a case, then over cases."
        )
    several = len(run.judged.classes) > 2 and run.judged.kind not in ("survival", "segmentation")
    macro = "macro " if several or run.judged.kind == "labels" else ""
    entry = evaluation.get("metrics", {}).get(primary)
    text.append(f"The primary metric, {macro}{metric(primary) or UNKNOWN}, is {interval(entry, primary)}.")
    warned = (entry or {}).get("warning")
    if warned:
        text.append(f"Warning: {warned}.")
    differences = [(one["name"], compared(one, primary)) for one in references(evaluation)]
    for name, found in differences:
        if found:
            text.append(
                f"Beside {name} on the same cases the verdict is: {found.get('verdict', UNKNOWN)} "
                f"(difference {interval(found, primary, signed=True, brackets=False)})."
            )
    if not any(found for _, found in differences):
        text.append("No other model was judged on the same cases, so there is no verdict.")
    text.append(openings(run))
    for key, word in (("leak", "Leak"), ("unchecked", "Not checked")):
        if about.get(key):
            text.append(f"{word}: {about[key]}.")
    return text


def not_shown(run: RunFolder) -> str:
    """What the reported numbers are no evidence for."""
    external = validation(run).startswith("external")
    where = (
        "at sites other than those judged here"
        if external
        else "at other hospitals, on other devices or at other times"
    )
    text = f"Not shown: how the model does {where}; whether using it helps patients"
    if not run.evaluation.get("subgroups"):
        text += "; whether it does equally well for every group of patients"
    if run.split == "validation":
        text += "; how it does on cases that no choice was made on"
    return (
        f"{text}. The intervals hold for {run.evaluation.get('conditional_on', 'the trained models')}; training again on "
        "other patients would vary more."
    )
