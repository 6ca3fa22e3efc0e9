"""medjax: deep learning for medicine in JAX, with evidence for every number.

    import medjax

    experiment = medjax.load_experiment("configs/breast_cancer.py")
    results = medjax.train(experiment, "runs/breast_cancer")
    model = medjax.load("runs/breast_cancer")
    predictions = model.predict(cases)

Names are looked up when they are first used, so that `import medjax` costs next to nothing.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "Experiment": "medjax.experiment",
    "InputError": "medjax.errors",
    "evaluate": "medjax.run",
    "evaluate_external": "medjax.run",
    "evaluations": "medjax.run",
    "load": "medjax.predictor",
    "load_experiment": "medjax.config",
    "override": "medjax.config",
    "prepare": "medjax.data.dataset",
    "results_table": "medjax.report.table",
    "train": "medjax.run",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'medjax' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
