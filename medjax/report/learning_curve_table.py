"""A learning curve in words: plain text of at most 108 columns, from `learning_curve.json` alone."""

from medjax.report import formats

_BAR = 34  # letters from the lowest to the highest end of an interval


def learning_curve_table(curve: dict) -> str:
    """The table: a line a size with its interval, twice the patients, the law, and how many more a gain would take."""
    lines = [*_heading(curve), "", *_points(curve), "", *answer_lines(curve), "", *_notes(curve)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _metric(curve: dict) -> str:
    name = curve["primary"]
    binary = "positive" in curve.get("about", {})
    return formats.label(name) if binary else formats.MACRO.get(name, formats.label(name))


def _heading(curve: dict) -> list[str]:
    about, first = curve.get("about", {}), curve["points"][0]
    title = [f"{about.get('title', 'Results')}: LEARNING CURVE of {_metric(curve)}"]
    if "positive" in about:
        title.append(f"positive class: {about['positive']}")
    title.append(f"{first['seeds']['count']} seeds, each with its own nested subsets of the training patients")
    patients = about.get("patients", f"{first['patients']} patients")
    judged = [f"every size judged on the same {first['cases']} {about.get('judged_on', 'cases')}", patients]
    return formats.join(title) + formats.join(judged)


def _points(curve: dict) -> list[str]:
    name, shares = curve["primary"], curve.get("shares", [])
    rows = [
        (
            f"{point['training_patients']:>9,}",
            formats.percent(shares[k]) if k < len(shares) else "",
            point,
            point["seeds"],
        )
        for k, point in enumerate(curve["points"])
    ]
    if "prediction" in curve:
        later = curve["prediction"]
        rows.append((f"{later['training_patients']:>9,}", "fitted", later, {}))
    known = [one[side] for _, _, one, _ in rows for side in ("low", "estimate", "high") if one[side] is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    decimals = max([formats.decimals(one) for _, _, one, _ in rows])
    lines = [
        _line(" patients", "share", f"{_metric(curve)}, single model", "sd of seeds", _scale(name, low, high, decimals))
    ]
    for size, share, one, seeds in rows:
        spread = seeds.get("standard_deviation")
        spread = "" if spread is None else formats.number(spread, max(decimals, 3), name)
        lines.append(_line(size, share, formats.cell(one, decimals, name), spread, _bar(one, low, high)))
    return lines


def _line(*cells: str) -> str:
    size, share, value, spread, bar = cells
    return f"{size:<10} {share:>7}   {value:<32} {spread:<12}   {bar}"


def _scale(name: str, low: float, high: float, decimals: int) -> str:
    left, right = formats.number(low, decimals, name), formats.number(high, decimals, name)
    return left + right.rjust(_BAR - len(left))


def _bar(one: dict, low: float, high: float) -> str:
    """The interval as a line of dashes, the estimate as an o."""
    if one["estimate"] is None or not high > low:
        return ""

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (_BAR - 1))

    letters = [" "] * _BAR
    if one["low"] is not None:
        for position in range(place(one["low"]), place(one["high"]) + 1):
            letters[position] = "-"
    letters[place(one["estimate"])] = "o"
    return "".join(letters)


def answer_lines(curve: dict) -> list[str]:
    """The answer to "how many more labelled patients?", what twice as many would give, and the law behind it."""
    name, metric = curve["primary"], _metric(curve)
    sign = "-" if curve.get("law", {}).get("formula", "").startswith("metric") else "+"
    wanted = f"{sign}{formats.number(curve['wanted_gain'], 3, name).rstrip('0')}"
    lines = formats.wrap(f"How many more labelled patients for {metric} {wanted}? {_capital(curve['answer'])}.")
    if curve.get("estimable"):
        change = curve["gain_of_doubling"]
        lines += formats.wrap(
            f"Twice the patients ({curve['furthest']:,}): {metric} {formats.cell(curve['prediction'], 3, name)}, better by "
            f"{formats.cell(change, max(formats.decimals(change), 3), name)}. Nothing is said of more."
        )
    if "law" in curve:
        law = curve["law"]
        less = metric if sign == "-" else f"1 - {metric}"
        offset = f" + {law['offset']:.3g}" if law["offset"] else ""
        ratio = (
            f"((patients{offset}) / {curve['largest'] + law['offset']:,.5g})"
            if offset
            else f"(patients / {curve['largest']:,})"
        )
        lines += formats.wrap(
            f"Law: {less} = {formats.number(law['limit'], 4, name)} + {formats.number(law['scale'], 4, name)} x {ratio} ^ -exponent, "
            f"exponent {formats.fixed(law['exponent'], 2)}; it fits the points with p = {formats.fixed(law['goodness_of_fit'], 2)}. "
            "By such a law more patients never make it worse."
        )
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _notes(curve: dict) -> list[str]:
    about, lines = curve.get("about", {}), []
    for one in curve.get("dropped", []):
        lines += formats.wrap(f"Left out: {formats.percent(one['share'])} of the patients; {one['reason']}.")
    if "steps" in about:
        lines += formats.wrap(
            f"Every model took the same {about['steps']:,} steps of {about['batch']} cases, {about['epochs_of_the_largest']:g} "
            "passes over the largest training set; those on fewer patients saw each of them more often."
        )
    level = f"{100 * curve['level']:g} %"
    lines += formats.wrap(
        f"Intervals: {level}; the judged patients and the models vary. Values are those of single models, mean over seeds; at "
        "the largest size all seeds learn from the same patients, which the law's intervals allow for."
    )
    if chosen := about.get("chosen_on_the_same_cases"):
        lines += formats.wrap(
            f"The cases that judge also chose each model's parameters (by {formats.label(chosen)}), so every value "
            "is somewhat too good."
        )
    return lines + formats.wrap("A test set was not touched. Not evidence for other hospitals.")
