"""A treatment choice as plain text of at most 108 columns, from what `medjax.evidence.treatment.policy` found."""

from medjax.report import formats

_RULES = {"recommended": "as recommended", "treat_all": "treat everybody", "treat_none": "treat nobody"}
_METHODS = {"doubly_robust": "doubly robust", "inverse": "inverse probability"}


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
    lines += ["", formats.row(head), formats.row("", *_METHODS.values())]
    for rule, words in _RULES.items():
        lines.append(formats.row(words, *(_cell(result[method][rule]) for method in _METHODS)))
    for other, words in (("over_treat_all", "  over everybody"), ("over_treat_none", "  over nobody")):
        lines.append(formats.row(words, *(_cell(result[method][other], signed=True) for method in _METHODS)))
    lines += ["", formats.row("Treated as the rule says, minus the others (not corrected for who was treated)")]
    for rule, words in _RULES.items():
        found = result["as_recommended"][rule]
        told = found.get("reason")
        if told is None:
            p = found["log_rank"]["p_value"]
            told = f"{_cell(found['difference'], signed=True)}, log-rank p " + (
                "< .001" if p < 0.001 else f"= {formats.fixed(p, 3)}"
            )
        lines.append(formats.row(words, told))
    lowest, highest = (formats.fixed(result["chance"][end], 3) for end in ("lowest", "highest"))
    lines += ["", *formats.wrap(f"WARNING, {result['warning']}.")]
    lines += formats.wrap(
        f"The chance of treatment by the other inputs ran from {lowest} to {highest}; {result['rare']} cases got a treatment "
        "whose chance was below .05. All of it holds only if these inputs explain who was treated: not a randomised comparison, "
        "unless the data come from one. Intervals: 95 %, patient jackknife or bootstrap, the rule and the chance of treatment "
        "held fixed, censoring weights estimated again each time."
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(entry: dict, *, signed: bool = False) -> str:
    if entry.get("estimate") is None or (signed and entry["estimate"] == 0 and entry.get("reason")):
        return entry.get("reason", "undefined")
    sign = "+" if signed else ""
    text = format(entry["estimate"], f"{sign}.1f")
    if entry.get("low") is None:
        return f"{text} (no interval)"
    return f"{text} ({format(entry['low'], f'{sign}.1f')} to {format(entry['high'], f'{sign}.1f')})"
