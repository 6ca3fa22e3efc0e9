"""Categories that the training cases of a fold lack, though cases that it judges have them: nothing was learnt of them."""

from collections import Counter

import numpy as np

from medjax.job import Job


def unseen(job: Job) -> list[str]:
    """Return a line for each category, or missing value, that a fold's models meet in judging only.

    Standardising makes such a number 0 for every case, as it does with a level that no table names: the model takes it
    for unknown. Development cases only, where they are resident and the table is standardised.
    """
    if "table" not in job.experiment.standardise or job.arrays is None:
        return []
    names = [name for name in job.dataset.columns if name not in job.experiment.data.exclude]
    table, scale = job.arrays["table"], job.fitted["table"]["scale"]
    if table.shape[1] not in (len(names), 2 * len(names)):
        return []  # a step of one's own has changed the columns
    if table.shape[1] > len(names):
        names += [f"missing {name.partition('=')[0]}" for name in names]
    cases: Counter[str] = Counter()
    folds: dict[str, set[int]] = {}
    for row, model in {model.fold: (row, model) for row, model in enumerate(job.replicates)}.values():
        judged = table[np.concatenate([model.held_out, model.validation])]
        silent = {names[place]: place for place in np.flatnonzero(np.isinf(scale[row]))}  # a column's flags are all one
        for name, place in silent.items():
            known = table[model.train, place]
            usual = known[~np.isnan(known)][:1]
            met = int((~np.isnan(judged[:, place]) & ~np.isin(judged[:, place], usual)).sum())
            if met:
                cases[name] += met
                folds.setdefault(name, set()).add(model.fold)
    return [
        f"{name!r} is taken as unknown in {count} judged case{'s' * (count > 1)}: no training case"
        f"{f' of fold {_listed(folds[name])}' if min(folds[name]) >= 0 else ''} has it"
        for name, count in cases.items()
    ]


def _listed(folds: set[int]) -> str:
    return ", ".join(map(str, sorted(folds)))
