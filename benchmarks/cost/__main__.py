"""The cost model beside measurements, and what it says of machines that are not here.

    python -m benchmarks.cost [--quick] [--out FOLDER]
    python -m benchmarks.cost --config configs/hippocampus.py [--set KEY=VALUE ...] [--machine "NVIDIA H200"]

The first measures this machine (products, convolutions, copies, sums over processes) and the training steps of four models on
1, 2 and (dense ones) 4 processes, and writes COST.md and cost.json into `--out` (benchmarks/). The second measures nothing: it counts the
work of an experiment and prints what its step would take on 1, 8, 64 and 512 accelerators. `--quick` measures two models.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.cost import machines, measure, page, step, work
from benchmarks.speed import machine

# Four processes compile convolutions for minutes on two cores, so they take the dense models only.
PROCESSES = {1: tuple(step.MODELS), 2: tuple(step.MODELS), 4: ("perceptron", "replicates")}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two models: whether it works, not how good it is")
    parser.add_argument("--out", type=Path, help="folder of COST.md and cost.json (benchmarks/)")
    parser.add_argument("--config", type=Path, help="experiment file whose step is predicted; nothing is measured")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of it")
    parser.add_argument("--machine", choices=[*machines.ACCELERATORS], default="NVIDIA H200")
    arguments = parser.parse_args()
    if arguments.config:
        from medjax.errors import InputError

        try:
            one = of_config(arguments.config, arguments.set)
        except InputError as error:
            parser.exit(2, f"{error}\n")
        print("\n".join(page.ahead(arguments.config.name, one, arguments.machine)))
        return
    folder = arguments.out or (None if arguments.quick else Path(__file__).parents[1])
    content = compared(("perceptron", "replicates") if arguments.quick else tuple(step.MODELS))
    text = page.page(content)
    print(text)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cost.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "COST.md").write_text(text)


def compared(models: tuple[str, ...]) -> dict[str, Any]:
    """Measure this machine and the steps of the models, and count their work; as `cost.json` holds it."""
    import jax

    from benchmarks.speed.training import built

    found = {}
    for count, able in PROCESSES.items():
        print(f"{count} processes ...", file=sys.stderr, flush=True)
        found[count] = measure.run(count, [name for name in models if name in able])
    counted = {}
    for name in models:
        experiment, arrays, batch, replicates = step.experiment(name, 1)
        programs = built(experiment, arrays, batch, replicates, jax.devices()[:1])
        counted[name] = vars(work.of(programs, step.shapes(programs, arrays, batch), batch))
    return {
        "machine": machine.describe(), "commit": machine.commit(),
        "rates": {str(count): one["machine"] for count, one in found.items()},
        "sums": {str(count): one["sums"] for count, one in found.items()},
        "steps": {
            name: {str(count): one["steps"][name] for count, one in found.items() if name in one["steps"]} for name in models
        },
        "work": counted,
    }  # fmt: skip


def of_config(path: Path, overrides: list[str]) -> work.Work:
    """Count the work of an experiment's training step."""
    import jax

    from medjax import config, job

    own = job.build(config.load_experiment(path, overrides), devices=jax.devices()[:1])
    return work.of(own.programs, job.step_arguments(own), own.batch)


if __name__ == "__main__":
    main()
