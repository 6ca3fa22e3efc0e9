"""The table of `medjax memory` on the screen."""

from medjax.memory import Fit, Need, Setting
from medjax.report.screen import size


def memory_table(fit: Fit) -> str:
    """Return every setting that was compiled, the largest batches that fit, and what accumulation changes here."""
    rows = [["batch", "accumulate", "remat", "planned", "kept", "work", "fits"]]
    for setting, need in sorted(fit.needs.items(), key=lambda one: _order(one[0])):
        words = [str(setting.batch), str(setting.accumulate), "yes" if setting.remat else "no", *_needs(need)]
        rows.append([*words, "yes" if need is not None and need.total <= fit.limit else "no"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = f"one training step on each device, against {size(fit.limit)} ({fit.source})"
    data = f", {size(fit.resident)} of data among it" if fit.resident else ""
    kept = f"kept: between steps{data}; work: set aside while a step runs; validation is not in the plan"
    return "\n".join([head, "", *lines, "", kept, _largest(fit), *fit.notes])


def _order(setting: Setting) -> tuple:
    return setting.remat, setting.accumulate, setting.batch


def _needs(need: Need | None) -> list[str]:
    if need is None:
        return ["too much", "", ""]
    return [size(need.total), size(need.kept), size(need.work)]


def _largest(fit: Fit) -> str:
    found = {remat: str(count) if count else "none" for remat, count in fit.largest.items()}
    both = f"{found[False]} without remat, {found[True]} with" if True in found else f"{found[False]} (no remat here)"
    return f"largest batch that fits at once: {both}; there are {fit.cases} training cases"
