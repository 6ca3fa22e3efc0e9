"""The measured curves as a page and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.growth.curves import CURVES
from benchmarks.speed.results import LOADED, show

KNOWN = {curve.name: curve.known for curve in CURVES if curve.known}
OPENING = """# How cost grows

    python -m benchmarks.growth [--only NAME ...] [--quick]

Written by that command. Each line is the same work at growing sizes, which take turns in one process; times are medians over
rounds. "Exponent" is the power of the size with which the time grows: a line through the logarithms of the three largest
sizes, round by round, the median and a 95 % interval by order statistics (six rounds at least). "At most" is what arithmetic
allows. Below it means that what every call costs still counts at these sizes, or that larger sizes use the machine better; an
interval that lies above it as a whole is marked: there something grows that should not. "!" marks lines during which other
work had 10 % of the cores or more.

![curves](growth.png)

| curve | work | size | times | exponent | at most | others |
|---|---|---|---|---|---|---|
"""


def page(content: Mapping[str, Any]) -> str:
    """Return the page in Markdown; content is {"machine": ..., "curves": {name: as `curve.measure` gives it}}."""
    about, curves = content["machine"], content["curves"]
    machine = (
        f"\n{about['processor']}, {about['cores']} cores, {about['memory_gib']:.0f} GiB of memory, {about['system']}.\n"
    )
    notes = [
        f"- **{name}**: at most {one['most']:g} since {one['why']}; {len(one['seconds'])} rounds, commit "
        f"{one['commit']}, {one['date']}" + (f"; {KNOWN[name]}" if above(one) and name in KNOWN else "")
        for name, one in curves.items()
    ]
    return (
        OPENING
        + "\n".join(line(name, one) for name, one in curves.items())
        + "\n"
        + machine
        + "\n"
        + "\n".join(notes)
        + "\n"
    )


def line(name: str, one: Mapping[str, Any]) -> str:
    """Return a curve's line of the table."""
    sizes, times = one["sizes"], one["median"]
    found, others = one["exponent"], one["load"]["others"]
    held = "too few rounds" if found["low"] is None else f"{found['low']:.2f} to {found['high']:.2f}"
    share = "" if others is None else f"{100 * others:.0f} %" + (" !" if others >= LOADED else "")
    cells = [
        name, one["work"], f"{sizes[0]:,} to {sizes[-1]:,} {one['axis']}", f"{show(times[0], 's')} to {show(times[-1], 's')}",
        f"{found['median']:.2f} ({held}){' **above**' if above(one) else ''}", f"{one['most']:g}", share,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def above(one: Mapping[str, Any]) -> bool:
    """Whether the interval of a curve's exponent lies above what arithmetic allows as a whole."""
    low = one["exponent"]["low"]
    return low is not None and low > one["most"]


def picture(content: Mapping[str, Any], path: Path) -> None:
    """Draw every curve on logarithmic axes, with its fitted line and the steepest one that arithmetic allows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    curves = content["curves"]
    columns = 4
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (name, one) in zip(axes.flat, curves.items(), strict=False):
        sizes, times = np.array(one["sizes"], float), np.array(one["median"])
        low, high = np.min(one["seconds"], axis=0), np.max(one["seconds"], axis=0)
        axis.errorbar(sizes, times, [times - low, high - times], fmt="o", color="black", capsize=3, markersize=4)
        fitted = sizes[-3:]
        for power, style, label in ((one["exponent"]["median"], "-", "fitted"), (one["most"], ":", "at most")):
            middle = np.exp(np.log(times[-3:]).mean() - power * np.log(fitted).mean())
            axis.plot(fitted, middle * fitted**power, style, color="tab:blue" if style == "-" else "tab:red",
                      label=f"{label} {power:.2f}")  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=8)
        axis.minorticks_off()
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.set_xlabel(one["axis"], fontsize=9)
        axis.set_ylabel("seconds", fontsize=9)
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
