"""One process of a run, for the tests: trains as `train.py` does, and kills itself where it is told to.

Arguments, as one JSON object: coordinator, processes, process, workdir, mesh (replicate, data, fsdp), `dies`: null, "step"
(in the middle of the 13th to the 16th step, which are one call), "save" (in the middle of the second save) or "judge" (before its part of the judging),
and `sealed`: whether to train, instead of one run in cross-validation, two that open a test set, "table" and "masks".
"""

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from medjax import config, job, run
from medjax.cli import guarded
from medjax.data import ledger
from medjax.data.split import HashedSplit
from medjax.experiment import Experiment
from medjax.report.screen import Silent
from medjax.training import checkpoint, mesh, processes, programs

ROOT = Path(__file__).parent.parent.parent


def die() -> None:
    """End as a machine does whose power fails."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_call(number: int) -> None:
    """Die when the steps of this call have been given to the device and are not done."""
    build, taken = job.build, iter(range(1000))

    def built(*arguments):
        work = build(*arguments)
        train = work.programs.train_several

        def step(*inputs):
            if next(taken) == number:
                if processes.first():
                    train(*inputs)
                die()
            return train(*inputs)

        object.__setattr__(work.programs, "train_several", step)
        return work

    job.build = built


def die_at_save(number: int) -> None:
    """Die when the save has begun: the first process with its share on the disk and the others', perhaps, not."""
    save, begun = checkpoint.ocp.save, iter(range(1, 1000))

    def saved(path, *arguments, **settings):
        if next(begun) == number:
            Path(path).with_name(f"{Path(path).name}.orbax-checkpoint-tmp-left").mkdir(exist_ok=True)
            die()
        return save(path, *arguments, **settings)

    checkpoint.ocp.save = saved


def die_at_judging() -> None:
    """Die when the others predict."""
    run._judge_development = lambda *arguments: die()


def watch_the_seal(workdir: Path) -> None:
    """Take long to write an opening down, and refuse to give test cases before it lies in the run's ledger."""
    opening, source, openings = ledger.record_opening, run.test_source, iter((1, 2))

    def slow(*arguments, **settings):
        time.sleep(0.5)
        return opening(*arguments, **settings)

    def watched(*arguments):
        assert len(list(workdir.glob("*/test_ledger.json"))) == next(openings)
        return source(*arguments)

    ledger.record_opening, run.test_source = slow, watched


def sealed(replicate: int, data: int, fsdp: int) -> dict[str, Experiment]:
    """A run on a table and one that segments, with validation cases that choose and a test set that is opened."""
    table = config.override(
        experiment(replicate, data, fsdp),
        ["replicates.only=[]", "replicates.seeds=2", "evaluation.threshold=youden", "training.duration.steps=8"],
    )
    masks = config.override(
        config.load_experiment(ROOT / "tests/judging/one_pixel.py"),
        [f"training.mesh.data={data * fsdp}", "data.origin.patients=20", "evaluation.resamples=20"],
    )
    return {
        name: dataclasses.replace(
            one,
            data=dataclasses.replace(one.data, splits=HashedSplit(0.6, 0.2, 0.2)),
            evaluation=dataclasses.replace(one.evaluation, test=True),
        )
        for name, one in (("table", table), ("masks", masks))
    }


def experiment(replicate: int, data: int, fsdp: int) -> Experiment:
    """Two folds of a small network, 24 steps, saved every fourth."""
    return config.override(
        config.load_experiment(ROOT / "configs/breast_cancer.py"),
        [
            f"training.mesh.replicate={replicate}", f"training.mesh.data={data}", f"training.mesh.fsdp={fsdp}",
            "replicates.seeds=1", "replicates.only=[0, 1]", "data.splits.count=4", "evaluation.reference=null",
            "evaluation.resamples=50",
            "training.duration.epochs=null", "training.duration.steps=24", "training.save_grid=4",
            "training.save_seconds=0.0", "training.log_every=4",
        ],
    )  # fmt: skip


def main() -> int:
    """Train."""
    told = json.loads(sys.argv[1])
    mesh.LEAST_SHARDED = 64
    programs.SHORT = 0  # a save may fall on every fourth step, and a call takes four: the first one, three, four, ...
    if told["dies"] == "step":
        die_at_call(4)
    elif told["dies"] == "save":
        die_at_save(2)
    elif told["dies"] == "judge":
        die_at_judging()

    def verb(arguments: SimpleNamespace) -> None:
        processes.start(told["coordinator"], told["processes"], told["process"])
        workdir = Path(told["workdir"])
        if not told["sealed"]:
            run.train(experiment(*told["mesh"]), workdir, screen=Silent())
            return
        watch_the_seal(workdir)
        for name, one in sealed(*told["mesh"]).items():
            run.train(one, workdir / name, screen=Silent())

    return guarded(verb, SimpleNamespace())


if __name__ == "__main__":
    raise SystemExit(main())
