"""One process of a run, for the tests: trains as `train.py` does, and kills itself where it is told to.

Arguments, as one JSON object: coordinator, processes, process, workdir, mesh (replicate, data, fsdp), and `dies`: null,
"step" (in the middle of the 12th step) or "save" (in the middle of the second save).
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from medjax import config, job, run
from medjax.cli import guarded
from medjax.experiment import Experiment
from medjax.report.screen import Silent
from medjax.training import checkpoint, mesh, processes

ROOT = Path(__file__).parent.parent.parent


def die() -> None:
    """End as a machine does whose power fails."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_step(number: int) -> None:
    """Die when the 12th step has been given to the device and is not done."""
    build, taken = job.build, iter(range(1000))

    def built(*arguments):
        work = build(*arguments)
        train = work.programs.train

        def step(*inputs):
            if next(taken) == number:
                if processes.first():
                    train(*inputs)
                die()
            return train(*inputs)

        object.__setattr__(work.programs, "train", step)
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
    if told["dies"] == "step":
        die_at_step(12)
    elif told["dies"] == "save":
        die_at_save(2)

    def verb(arguments: SimpleNamespace) -> None:
        processes.start(told["coordinator"], told["processes"], told["process"])
        run.train(experiment(*told["mesh"]), told["workdir"], screen=Silent())

    return guarded(verb, SimpleNamespace())


if __name__ == "__main__":
    raise SystemExit(main())
