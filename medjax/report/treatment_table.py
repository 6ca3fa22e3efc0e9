"""A treatment choice as plain text of at most 108 columns, from what `medjax.evidence.treatment.policy` found."""

from medjax.report import formats

RULES = {"recommended": "as recommended", "treat_all": "treat everybody", "treat_none": "treat nobody"}
METHODS = {"doubly_robust": "doubly robust", "inverse": "inverse probability"}
OVER = {"over_treat_all": "  over everybody", "over_treat_none": "  over nobody"}


def treatment_table(result: dict) -> str:
    """Values of the three rules and their differences by both estimates; the self-fulfilling statistic below, with its caution."""
    about, unit = result["about"], result["about"].get("unit", "")
    unit = f" {unit}" if unit else ""
    lines = formats.join(
        [
            f"{about['title']}: choosing '{about['treatment']}' on the {about['split']} cases",
            f"{result['cases']} cases, {result['treated']} of them treated",
            f"recommended for {result['recommended']}",
            f"{result['followed']} were treated as recommended",
        ]
    )
    head = f"mean time free of the event up to {result['until']:g}{unit}"
    lines += ["", formats.row(head), formats.row("", *METHODS.values())]
    for rule, words in RULES.items():
        lines.append(formats.row(words, *(time_cell(result[method][rule]) for method in METHODS)))
    for other, words in OVER.items():
        lines.append(formats.row(words, *(time_cell(result[method][other], signed=True) for method in METHODS)))
    lines += ["", formats.row("Treated as the rule says, minus the others (not corrected for who was treated)")]
    for rule, words in RULES.items():
        found = result["as_recommended"][rule]
        p = f", log-rank p {p_value(found['log_rank']['p_value'])}" if "log_rank" in found else ""
        lines.append(formats.row(words, followers(found) + p))
    lines += ["", *formats.wrap(f"WARNING, {result['warning']}."), *formats.wrap(f"WARNING, {design(result)}")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def design(result: dict) -> str:
    """What the values rest on: who was treated, and how their intervals are made."""
    lowest, highest = (formats.fixed(result["chance"][end], 3) for end in ("lowest", "highest"))
    return (
        "all of it holds only if the other inputs explain who was treated: this is not a randomised comparison, unless the "
        f"data come from one. The chance of treatment by these inputs ran from {lowest} to {highest}; {result['rare']} cases "
        "got a treatment whose chance was below .05. Intervals: 95 %, patient jackknife or bootstrap, the rule and the chance "
        "of treatment held fixed, censoring weights estimated again each time."
    )


def followers(found: dict) -> str:
    """Those who were treated as a rule says minus the others, or why there is no such difference."""
    return str(found["reason"]) if "reason" in found else time_cell(found["difference"], signed=True)


def p_value(p: float) -> str:
    """A p-value with its sign of comparison."""
    return "< .001" if p < 0.001 else f"= {formats.fixed(p, 3)}"


def time_cell(entry: dict, *, signed: bool = False) -> str:
    """A time, or a difference of times, with its interval and one decimal; the reason where it is undefined."""
    if entry.get("estimate") is None or (signed and entry["estimate"] == 0 and entry.get("reason")):
        return entry.get("reason", "undefined")
    sign = "+" if signed else ""
    text = format(entry["estimate"], f"{sign}.1f")
    if entry.get("low") is None:
        return f"{text} (no interval)"
    return f"{text} ({format(entry['low'], f'{sign}.1f')} to {format(entry['high'], f'{sign}.1f')})"
