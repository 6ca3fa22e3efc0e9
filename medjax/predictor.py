"""A trained run that predicts: restored from its folder, with all its replicates and its own preprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from medjax import config, folder
from medjax.data.case import Case, attributes, check_case, check_label, check_shape
from medjax.data.feed import Feed, case_arrays
from medjax.data.placement import place
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions
from medjax.experiment import Experiment
from medjax.job import blank_state
from medjax.models.features import features
from medjax.predict import EVALUATION_BATCH, case_pipeline, predict_all
from medjax.tasks import Survival, judged, truth
from medjax.training import checkpoint
from medjax.training import programs as compiled
from medjax.training.mesh import CASES, spread
from medjax.training.programs import Programs
from medjax.training.state import final_variables
from medjax.training.step import model_inputs


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained run that predicts.

    Attributes:
        experiment: as it was run.
        record: `record.json` of the run.
        variables: the delivered parameters and model state, with a leading replicate axis, on the host.
        fitted: what was fitted on training cases, likewise.
        warnings: what was odd when it was loaded, such as a corrupt checkpoint that was passed over.
    """

    experiment: Experiment
    record: dict[str, Any]
    variables: Any
    fitted: Any
    warnings: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The identity of the delivered model: a hash of its content."""
        return checkpoint.digest({"variables": self.variables, "fitted": self.fitted})

    @cached_property
    def pipeline(self) -> Callable[[Case], Case]:
        """What the host does to each case before the model sees it."""
        return case_pipeline(self.experiment, self.record["data"]["columns"])

    @cached_property
    def programs(self) -> Programs:
        """The compiled functions, on whatever devices are here; the mesh of the training plays no part."""
        one = jax.tree.map(lambda x: x[0], self.fitted)
        count, total = len(self.record["replicates"]), self.record["steps"]
        return compiled.build(self.experiment, shapes(self.record), one, count, total, None, None)

    def predict(self, cases: Sequence[Case]) -> Predictions:
        """Predict cases as a reader or a source gives them; several processes do it together, with the same cases.

        Args:
            cases: each with `id`, `group` (where it is missing: the id) and the experiment's inputs; a target may be
                there, and then is carried along.

        Returns:
            Predictions with one member a replicate; `medjax.evidence.predictions.ensemble` averages the members.

        Raises:
            InputError: a case breaks the contract, or has another shape than the training cases (its id is named); the
                run segments, which `medjax.segmentation.segmenter.Segmenter` does.
        """
        task = self.experiment.task
        if task.kind == "segmentation":
            raise InputError("this run segments: Segmenter(model, load_largest(model.record['plan'])).segment(case)")
        prepared, arrays = self._prepare(cases)
        mesh = self.programs.mesh
        feed = Feed(place(arrays, spread(mesh)), None, spread(mesh, "replicate", CASES))
        members = self.record["replicates"]
        every = [np.arange(len(cases))] * len(members)
        values = predict_all(self.programs, self.variables, self.fitted, feed, every)
        unknown: Any = -1 if task.kind in ("probability", "grade") else np.nan
        if task.kind == "labels":
            unknown = np.full(len(task.classes), np.nan)
        told = task.targets if task.kind == "survival" else (task.target,)
        columns = [np.array([case.get(key, unknown) for case in prepared]) for key in told]
        return Predictions(
            id=np.array([case["id"] for case in prepared]),
            group=np.array([case["group"] for case in prepared]),
            target=judged(task, truth(task, columns)),
            values=np.stack(values),
            replicate=np.array([member["number"] for member in members]),
            seed=np.array([member["seed_number"] for member in members]),
            fold=np.full(len(cases), -1),
            kind=task.kind,
            classes=task.classes,
            quantiles=task.quantile_levels,
            times=task.times,
            horizons=task.horizons,
            attributes=_attributes(cases),
        )

    def features(self, cases: Sequence[Case], layer: str, *, pooled: bool = False) -> Float[np.ndarray, "..."]:
        """Return what one layer gives for cases, in every replicate.

        For example, one vector a case from the first replicate, whatever layer precedes the output:

            load("runs/pneumonia").features(cases, "pooled")[0]

        Args:
            cases: as for `predict`; targets play no part.
            layer: its name, or a regular expression that fits one (`medjax.models.features.layer_names` lists them).
            pooled: average over all axes but cases and channels: of an image, or of tokens.

        Returns:
            float32 (replicates, cases, ...), in the order of `record["replicates"]` and of `cases`.

        Raises:
            InputError: no layer has this name (the nearest are named), or a case is refused as in `predict`.
        """
        experiment = self.experiment
        _, arrays = self._prepare(cases)
        batch = min(EVALUATION_BATCH, len(cases))

        @jax.jit
        def run(variables: Any, fitted: Any, rows: Any) -> Any:
            inputs = model_inputs(experiment, fitted, rows)
            found = features(experiment.model, variables, *inputs, name=layer).astype(jnp.float32)
            return found.mean(axis=tuple(range(1, found.ndim - 1))) if pooled else found

        members = []
        for number in range(len(self.record["replicates"])):
            variables, fitted = jax.tree.map(lambda x, k=number: jnp.asarray(x[k]), (self.variables, self.fitted))
            parts = []
            for start in range(0, len(cases), batch):
                # The last batch is filled with its first case, so that one compiled program serves all.
                index = np.arange(start, start + batch)
                index = np.where(index < len(cases), index, start)
                rows = {key: value[index] for key, value in arrays.items()}
                parts.append(np.asarray(run(variables, fitted, rows)))
            members.append(np.concatenate(parts)[: len(cases)])
        return np.stack(members)

    def _prepare(self, cases: Sequence[Case]) -> tuple[list[Case], dict[str, np.ndarray]]:
        """Check cases, take them through the pipeline, and stack the arrays of the inputs."""
        task = self.experiment.task
        keys = (*self.experiment.data.inputs, *task.context)
        if not cases:
            raise InputError("there is no case to predict")
        prepared, expected = [], shapes(self.record)
        for case in cases:
            case = {"group": case.get("id"), **case}
            check_case(case, where="input")
            for key in keys:
                if key not in case:
                    raise InputError(f"input: case '{case['id']}' has no '{key}', which this run needs")
            case = self.pipeline(case)
            for key in keys:
                check_shape(case, key, expected[key].shape, "input")
            if task.classes and task.kind != "survival" and task.target in case:
                check_label(case, len(task.classes), "input")
            if isinstance(task, Survival) and task.context and case["stratum"] not in range(task.strata):
                raise InputError(
                    f"input: case '{case['id']}' has stratum {case['stratum']}; this run knows 0 to {task.strata - 1}"
                )
            prepared.append(case)
        arrays = {key: np.stack([case_arrays(case, keys)[key] for case in prepared]) for key in keys}
        return prepared, arrays


def _attributes(cases: Sequence[Case]) -> dict[str, np.ndarray]:
    told = [attributes(case) for case in cases]
    return {
        key: np.array([row.get(key, "") for row in told]) for key in dict.fromkeys(key for row in told for key in row)
    }


def load(run: Path | str, config_file: Path | str | None = None) -> Predictor:
    """Load a finished run.

    Args:
        run: the run folder.
        config_file: the configuration file, where it defines its own classes or functions.

    Raises:
        InputError: no such run, an unfinished one, or no intact checkpoint.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(f"{run}: no such run folder")
    if config_file is not None:
        config.load_experiment(config_file)
    record = folder.read_json(run / folder.RECORD)
    experiment = config.decode(folder.read_json(run / folder.CONFIG))
    if not record.get("finished"):
        raise InputError(f"{run}: this run is not finished; the command that started it continues it")
    like = blank_state(experiment, shapes(record), record["steps"], len(record["replicates"]))
    _, state, warnings = checkpoint.restore(run / folder.CHECKPOINTS, like)
    predictor = Predictor(experiment, record, final_variables(state), state.fitted, tuple(warnings))
    if predictor.digest != record["plan"]["model"]:
        note = "the restored parameters are not the ones that this run's results were made with"
        predictor = Predictor(experiment, record, predictor.variables, predictor.fitted, (*warnings, note))
    return predictor


def shapes(record: dict[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of one case's arrays from a run's record."""
    return {key: jax.ShapeDtypeStruct(tuple(shape), dtype) for key, (shape, dtype) in record["data"]["shapes"].items()}
