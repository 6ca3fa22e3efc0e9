"""The cost model beside the measurements, as a page; and what it says of many accelerators, as lines of a table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.cost import machines, step
from benchmarks.cost.measure import SUMMED
from benchmarks.cost.model import Axes, cost
from benchmarks.cost.work import Work
from benchmarks.speed.results import show

DEVICES = (1, 8, 64, 512)
OPENING = """# What a step costs: a model beside measurements

    python -m benchmarks.cost

Written by that command; benchmarks/cost/model.py is the model, in {lines} lines. "Predicted" knows of the machine only what
four small programs have measured (products, convolutions, copies, sums over processes), and of the step only what is counted
before it runs. "From one" takes the step that one process has measured, and adds what the model says of the exchange.
One process has all cores of this machine; of several each has one, which two may have to share, so that they are not faster
together. What the machine can do is measured in each number of processes at once.
"""


def page(content: Mapping[str, Any]) -> str:
    """Return the page in Markdown; content is what `cost.json` holds."""
    about, rates = content["machine"], content["rates"]["1"]
    lines = len(open_source().splitlines())
    parts = [OPENING.format(lines=lines)]
    parts.append(
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']:.0f} GiB of memory, {about['system']}; "
        f"commit {content['commit']}. One process: {rates['products'] / 1e9:.0f} billion operations a second in products, "
        f"{rates['convolutions'] / 1e9:.0f} in convolutions, {rates['bandwidth'] / 1e9:.1f} GB/s, "
        f"{rates['overhead'] * 1e6:.0f} µs a launch. "
        + " ".join(
            f"A sum over {count} processes: {sums[0] * 1e3:.2f} ms of {SUMMED[0] // 1024} KiB, {sums[-1] * 1e3:.0f} ms of "
            f"{SUMMED[-1] // 2**20} MiB."
            for count, sums in content["sums"].items()
            if sums
        )
        + "\n"
    )
    rows = [
        "| step | processes | measured | predicted | / measured | from one | / measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measured in content["steps"].items():
        rows += [_row(name, int(count), content) for count in measured]
    parts.append("\n".join(rows) + "\n")
    parts.append(AHEAD)
    for name, counted in content["work"].items():
        for kind in machines.ACCELERATORS:
            parts.append("\n".join(ahead(step.MODELS[name], Work(**counted), kind)) + "\n")
    return "\n".join(parts)


AHEAD = """## Machines that are not here

Nothing below was measured. A device is taken to reach half of the peak that its maker states in products, .3 of it in
convolutions and four fifths of the stated rates of memory, links and network. The batch of a device stays as it is, so the
batch of a step grows with the devices along `data`: whether such a batch still learns is another question. `replicate` takes
devices first. The shorter time has the exchange hidden behind the backward pass, the longer has none of it hidden.
"""


def ahead(name: str, one: Work, kind: str) -> list[str]:
    """Return the lines of a table: what a step takes on more and more accelerators.

    Args:
        name: of the step, for a reader.
        one: its work on one device.
        kind: of `machines.ACCELERATORS`.
    """
    machine = machines.ACCELERATORS[kind]
    rows = [
        f"{name}, on {kind}:",
        "",
        "| devices | replicate x data | step | cases a second | efficiency |",
        "|---|---|---|---|---|",
    ]
    alone = cost(one, machine, Axes()).seconds / one.cases
    for count in DEVICES:
        replicate = max(part for part in range(1, count + 1) if count % part == 0 and part <= one.replicates)
        data = count // replicate
        # The batch of each replicate grows with the devices that it lies on; parameters and what is kept do not.
        grown = replace(
            one, products=one.products * data, convolutions=one.convolutions * data, cases=one.cases * data,
            traffic=2 * one.kept + max(one.traffic - 2 * one.kept, 0) * data,
        )  # fmt: skip
        found = cost(grown, machine, Axes(replicate, data))
        rates = [grown.cases / seconds for seconds in (found.seconds, found.hidden)]
        efficiency = [rate * alone / count for rate in rates]
        rows.append(
            f"| {count} | {replicate} x {data} | {show(found.hidden, 's')} to {show(found.seconds, 's')} | "
            f"{rates[0]:,.0f} to {rates[1]:,.0f} | {efficiency[0]:.2f} to {efficiency[1]:.2f} |"
        )
    return rows


def _row(name: str, count: int, content: Mapping[str, Any]) -> str:
    one, measured = Work(**content["work"][name]), content["steps"][name]
    machine = machines.here(content["rates"][str(count)], count, content["sums"][str(count)])
    axes = Axes(replicate=count) if one.replicates > 1 else Axes(data=count)
    found = cost(one, machine, axes)
    seconds, alone = measured[str(count)], measured["1"]
    known = alone + found.exchange
    cells = [
        step.MODELS[name],
        f"{count}",
        show(seconds, "s"),
        show(found.seconds, "s"),
        f"{found.seconds / seconds:.2f}",
    ]
    cells += ["", ""] if count == 1 else [show(known, "s"), f"{known / seconds:.2f}"]
    return "| " + " | ".join(cells) + " |"


def open_source() -> str:
    """Return the text of the model."""
    from pathlib import Path

    from benchmarks.cost import model

    return Path(str(model.__file__)).read_text()
