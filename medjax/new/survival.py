"""An experiment on times to an event, for one's own table."""

import math
from pathlib import Path

import numpy as np

from medjax.config import nearest
from medjax.data import dataset as datasets
from medjax.data.dataset import open_split
from medjax.data.origin import OnError
from medjax.data.origins.table import Table
from medjax.data.readers.columns import Column, inspect, unnamed
from medjax.data.split import Folds
from medjax.errors import InputError
from medjax.evidence.kaplan_meier import median_follow_up
from medjax.metrics.survival import kaplan_meier
from medjax.new import choices, frame
from medjax.new.draft import Choice, Draft
from medjax.new.table import roles_of

FEWEST = 20  # events, below which a curve of risk groups says nothing
STEPS = 300
FULL_BATCH = 3000  # up to so many cases every step sees all of them, so that risk sets are exact
_FREE = ("0", "no", "n", "false", "alive", "censored", "none")


def draft(name: str, path: Path, time: str | None, event: str, group: str | None, on_error: OnError) -> Draft:
    """Look at a table with a column of times and one of events, and draft an experiment.

    Raises:
        InputError: whatever makes the table unusable.
    """
    header = unnamed(path)
    columns = inspect(path, header)
    names = [column.name for column in columns]
    if time is None:
        raise InputError(f"--event needs --target, the column of the time; the columns are {', '.join(names)}")
    if event not in names:
        raise InputError(f"{path}: --event {event!r}: there is no such column; {nearest(event, names)}")
    if time in names and columns[names.index(time)].kind not in ("numeric", "identifier"):
        raise InputError(
            f"{path}: the time {time!r} is no column of numbers; give the time since the start, in one unit"
        )
    codes = _codes(path, columns[names.index(event)])
    roles = roles_of(path, columns, time, group, apart=(event,))
    origin = Table(
        path=path.as_posix(),
        target=time,
        kind="survival",
        event=event,
        numeric=roles.numeric,
        categorical=roles.categorical,
        group=roles.group,
        codes=codes,
        header=header,
        on_error=on_error,
    )
    dataset = datasets.prepare(name, origin=origin)
    (split,) = dataset.splits
    source = open_split(dataset, split)
    cases = [source[row] for row in range(len(source))]
    table = np.stack([case["table"] for case in cases])
    times, events = (np.array([float(case[key]) for case in cases]) for key in ("time", "event"))
    if (events > 0).sum() < FEWEST:
        raise InputError(
            f"{path}: {int((events > 0).sum())} events are too few to learn or to judge a risk; {FEWEST} at least"
        )
    if events.max() > 1:
        raise InputError(
            f"{path}, column {event!r}: it names {int(events.max())} causes; write the experiment yourself, with "
            "task=Survival(loss='probability_mass', causes=(...)), from one of configs/"
        )
    until, horizons = _horizons(times, events)
    # The part with an event is balanced between the folds, since the times of the censored say little.
    spec, splits_why = choices.splits(dataset, (events > 0).astype(np.int64))
    learnt = choices.training_cases(dataset, spec)
    batch = '"full"' if learnt <= FULL_BATCH else "1024"
    follow_up = median_follow_up(times, events > 0)
    reasons = {
        "categorical": "Words, and whole numbers of few different values, which may be codes.",
        "codes": "0 is censored, 1 the event.",
    }
    told = f"{int((events > 0).sum())} events, {int((events == 0).sum())} censored"
    return Draft(
        name=name,
        title=f"{name}: {time} to {event} from {len(dataset.columns)} numbers a row, {len(dataset.index)} rows.",
        book=(
            f"data      {len(dataset.index)} rows: {told}"
            + (f", median follow-up {follow_up:.4g}" if math.isfinite(follow_up) else ""),
            "score     (write here what the run printed, and the commit)",
        ),
        imports=frame.imports("cox_regression", "Survival", spec, table),
        choices=(
            *frame.data(name, origin, roles.dropped, spec, splits_why, reasons),
            Choice(
                "task",
                f"Survival(until={until:g}, horizons=({', '.join(f'{one:g}' for one in horizons)}{',' * (len(horizons) == 1)}))",
                "Judged up to a time at which one in ten is still watched; at the times by which about a quarter and half of the "
                "events so far had happened. State the times that matter for your question, and unit=.",
            ),
            Choice("model", "Perceptron(hidden=(64, 64), dropout=0.5)", "Small, since the table is small."),
            *frame.inputs(table),
            frame.optimizer(0.1, "3e-3"),
            Choice(
                "training",
                f"Training(duration=Duration(steps={STEPS}), batch_size={batch})",
                f"About {learnt} cases to learn from"
                + (
                    ", all in each step: risk sets are exact."
                    if batch == '"full"'
                    else "; risk sets are those of a batch."
                )
                + (" Nothing is selected: the held-out fold chooses nothing." if isinstance(spec, Folds) else ""),
            ),
            choices.seeds(5, "Five models, trained as one program."),
            Choice(
                "evaluation",
                'Evaluation(primary="concordance_index", reference=cox_regression)',
                "Compared with linear Cox regression on the same cases. State margin= beforehand to ask for non-inferiority.",
            ),
        ),
        notes=(
            f"{told}; judged up to {until:g}, at {', '.join(f'{one:g}' for one in horizons)}",
            *frame.notes(roles.dropped, dataset),
        ),
    )


def _codes(path: Path, column: Column) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What the words of the column of events mean; () where it holds numbers already.

    Raises:
        InputError: words of which it is not plain which one means censored.
    """
    levels = [level for level, _ in column.levels]
    if column.kind == "numeric":
        return ()
    free = [level for level in levels if level.strip().lower() in _FREE]
    if len(levels) != 2 or len(free) != 1:
        raise InputError(
            f"{path}, column {column.name!r}: which of {', '.join(map(repr, levels[:6]))} means censored is not plain; write 0 for "
            "censored and 1 for the event"
        )
    return ((column.name, tuple((level, "0" if level in free else "1") for level in sorted(levels))),)


def _horizons(times: np.ndarray, events: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """A time at which a tenth is still watched, and the times by which a quarter and half of the events till then happened."""
    until = _rounded(float(np.quantile(times, 0.9)), down=True)
    curve = kaplan_meier(times, events > 0)
    lost = 1 - curve.values
    reached = 1 - float(curve.at(np.array([until]))[0])
    found = []
    for share in (0.25, 0.5):
        place = int(np.searchsorted(lost, share * reached))
        found.append(_rounded(float(curve.times[min(max(place - 1, 0), len(curve.times) - 1)]), down=False))
    return until, tuple(sorted({one for one in found if 0 < one < until})) or (until,)


def _rounded(value: float, *, down: bool) -> float:
    """Two digits; never beyond the value where it is a limit."""
    if value <= 0:
        raise InputError("nine of ten rows have the time 0; is this the column of the times?")
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{(math.floor if down else round)(value / scale) * scale:.6g}")
