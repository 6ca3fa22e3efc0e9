"""The deep audit of a run's data, where `medjax data audit RUN` has made it: suspects, their pictures, what they are worth."""

import base64
from typing import Any

from medjax.report.page.tables import Table, make
from medjax.report.page.wording import count
from medjax.report.worth import worth_rows, worth_words

_LISTED = 20


def deep(found: dict[str, Any] | None, picture: bytes | None) -> dict[str, Any] | None:
    """{"words", "tables", "picture"} of the audit; None where it was not made."""
    if found is None:
        return None
    about = found["near_duplicates"]
    words = [
        f"{count(found['cases'], 'case')} were compared with each other by their inputs. A case without a copy is called "
        f"suspect with a probability of {about['rate']:g}, so {about['expected_without_copies']:.2g} would be expected without "
        "any copy." if about["compared"] else "These inputs cannot be compared for near-duplicates."
    ]  # fmt: skip
    if found["test_inputs_read"]:
        words.append(
            f"Inputs of the {found['test_inputs_read']} test cases were read; their labels were not looked at."
        )
    if found.get("dropped"):
        words.append(f"Training left out {count(found['dropped'], 'case')}, which make nobody suspect.")
    tables = [_pairs(about, found["splits"])] if about["pairs"] else []
    for split, one in found.get("worth", {}).items():
        words.append(f"{worth_words(split, one)}.")
        if not one["reason"]:
            notes = ["The cases without suspects are other cases: easier or harder ones may have gone."]
            rows = [list(row) for row in worth_rows(one)]
            tables.append(
                make(f"{split}: with and without suspects", ["", "all cases", "without the suspects"], rows, notes)
            )
    tables += [_columns(found)] if found["columns"] else []
    for one in found["time"]:
        words.append(
            f"{one['attribute']}: {one['later']} of {one['train']} training cases are later than the first test case."
        )
    if found["after"]:
        words.append(f"Inputs known only after prediction time: {', '.join(found['after'])}.")
    shown = f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else None
    return {"words": words, "tables": tables, "picture": shown}


def _pairs(about: dict[str, Any], sizes: dict[str, int]) -> Table:
    rows = []
    for name, counts in sorted(about["counts"].items(), key=lambda item: "+" not in item[0]):
        sides = name.split("+")
        cases = [f"{cases} of {sizes[side]} in {side}" for side, cases in zip(sides, counts["cases"], strict=False)]
        rows.append([" and ".join(sides), str(counts["pairs"]), ", ".join(cases)])
    return make("Near-duplicates", ["parts", "pairs", "cases"], rows)


def _columns(found: dict[str, Any]) -> Table:
    """Single columns that predict the target, and the border of the picture."""
    rows = [
        [one["column"], _interval(one["auroc"]), "input" if one["input"] else "no input",
         "explain it, or leave it out" if one["suspect"] else ""]
        for one in found["columns"][:_LISTED]
    ]  # fmt: skip
    if found["border"]:
        rows += [[f"{name} of the picture", _interval(found["border"][key]), "", ""]
                 for name, key in (("border", "border"), ("whole thumbnail", "whole"))]  # fmt: skip
    notes = [f"Alone, out of 5 folds by patient; from {found['bound']:g} on a column is suspect."]
    return make("What predicts the target by itself (AUROC)", ["", "AUROC", "role", ""], rows, notes)


def _interval(entry: dict[str, Any]) -> str:
    if entry["estimate"] is None:
        return "undefined"
    return f"{entry['estimate']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})" if entry["low"] is not None else (
        f"{entry['estimate']:.3f}"
    )  # fmt: skip
