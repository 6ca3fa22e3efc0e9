"""The table of a sweep on the screen."""

from typing import Any

import numpy as np


def sweep_table(result: dict[str, Any]) -> str:
    """Return the trials, best first, and what the choice among them means.

    Args:
        result: the content of `sweep.json`.
    """
    trials, about = result["trials"], result["about"]
    keys = list(trials[0]["settings"])
    rows = [[*keys, result["metric"], "lowest", "highest"]]
    for one in trials:
        own = np.array(one["replicates"])
        rows.append(
            [
                *(str(one["settings"][key]) for key in keys),
                f"{one['score']:.4f}",
                f"{own.min():.4f}",
                f"{own.max():.4f}",
            ]
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    models = f"mean of {about['replicates']} replicates" if about["replicates"] > 1 else "one replicate"
    head = f"{about['name']}: {len(trials)} trials, validation {result['metric']} ({models}; larger is better)"
    note = (
        f"The best of {len(trials)} trials was chosen on validation cases ({about['validation_cases']} a replicate), so its "
        "score here is too good; judge it on cases that chose nothing."
    )
    return "\n".join([head, "", *lines, "", note])
