"""The experiment: everything that a run is made from, as one frozen dataclass. A config file builds one."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import flax.linen as nn
import optax

from medjax.data.origin import Origin
from medjax.data.split import Folds, LeaveOneOut, Splits
from medjax.errors import InputError
from medjax.metrics.threshold_rules import valid_rule
from medjax.models.columns import column_sizes
from medjax.tasks import Task


@dataclass(frozen=True)
class Data:
    """Which cases, and how they are parted.

    Attributes:
        name: a prepared data set, as `medjax data list` shows them; with an origin the name that you give your data.
        origin: where the cases come from when they are your own (`medjax.data.origins`: a folder of images, a table) or
            synthetic; None: the data set of that name.
        inputs: the keys of a case that the model is called with, in this order.
        splits: None for the data set's official splits; `HashedSplit`, `ByTime`, or cross-validation by `Folds` or
            `LeaveOneOut` (one hospital after the other) otherwise.
        drop: a list of case ids that training leaves out, as `medjax data audit NAME --drop FILE` writes; never of test.
        exclude: table columns that the model must not see: known only after prediction time, or identifiers.
        feed: "resident" (the whole set on the device), "streamed" (read while training) or "auto" (resident up to 1 GiB).
    """

    name: str
    origin: Origin | None = None
    inputs: tuple[str, ...] = ("image",)
    splits: Splits | None = None
    exclude: tuple[str, ...] = ()
    drop: str | None = None
    feed: Literal["auto", "resident", "streamed"] = "auto"


@dataclass(frozen=True)
class Duration:
    """A length of training in exactly one unit: optimizer steps, passes over the training cases, or cases seen."""

    steps: int | None = None
    epochs: float | int | None = None
    examples: int | None = None

    def __post_init__(self):
        """Refuse two units at once, none, and lengths that are not positive and finite."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            names = " and ".join(given) or "nothing"
            raise InputError(
                f"a duration is given in one of steps, epochs or examples, not in {names}; "
                "set the others to null (--set training.duration.steps=null)"
            )
        (value,) = given.values()
        if not 0 < value < math.inf:
            raise InputError(f"a duration must be positive and finite, not {value}")

    def in_steps(self, batch_size: int, cases: int) -> int:
        """Return the number of optimizer steps; the only place that converts durations."""
        if self.steps is not None:
            return self.steps
        examples = self.examples if self.examples is not None else math.ceil(round((self.epochs or 0) * cases, 6))
        return max(1, math.ceil(examples / batch_size))


@dataclass(frozen=True)
class Optimizer:
    """How gradients become updates.

    Attributes:
        transform: any optax transform, with `functools.partial` for its settings; it is given `learning_rate` if it
            takes one (`optax.sgd`, `optax.adam`, `optax.adamw`, ...), otherwise the rate scales its updates.
        learning_rate: the peak rate.
        schedule: progress in [0, 1] -> factor on the rate, see `medjax.training.schedule`; None: constant.
        clip: largest global norm of the gradient (per replicate); None: no clipping.
        rates: (regex, factor) on the learning rate of each parameter, first match counts; factor 0 freezes. Every
            parameter must match ("params" path such as `Dense_0/kernel`), and every pattern but ".*" must be used.
        decay: (regex, decoupled weight decay) likewise; empty: none beyond what `transform` does.
    """

    transform: Callable = optax.adamw
    learning_rate: float | int = 1e-3
    schedule: Callable | None = None
    clip: float | int | None = None
    rates: tuple[tuple[str, float | int], ...] = ((".*", 1.0),)
    decay: tuple[tuple[str, float | int], ...] = ()


@dataclass(frozen=True)
class Mesh:
    """How many devices each mesh axis takes.

    Attributes:
        replicate: over how many the replicates of a wave lie; 0: chosen from the devices at hand.
        data: over how many the cases of a batch lie; 0: chosen likewise.
        fsdp: over how many the cases of a batch and, between steps, parameters and the optimizer's moments lie.
    """

    replicate: int = 0
    data: int = 0
    fsdp: int = 1


@dataclass(frozen=True)
class Training:
    """The loop.

    Attributes:
        duration: how long.
        batch_size: cases a step and replicate, or "full" (every training case in each step).
        accumulate: micro-batches a step; gradients are summed and divided by the summed weights once.
        evaluate_every: how often validation cases are predicted; None: only at the end.
        select: the validation metric that picks the parameters kept ("auroc", "accuracy", "log_loss", ...);
            None: the last parameters are kept.
        patience: stop a replicate after this many validations without a better `select`; None: never.
        ema: decay of the exponential moving average of the parameters, which then is what gets evaluated; None: off.
        log_every: steps between two lines of metrics.jsonl.
        save_seconds: least wall time between two checkpoints.
        save_grid: checkpoints fall on multiples of this many steps, or coarser ones where a step takes milliseconds.
        mesh: devices on each axis of the mesh.
    """

    duration: Duration = field(default_factory=lambda: Duration(epochs=30))
    batch_size: int | Literal["full"] = 64
    accumulate: int = 1
    evaluate_every: Duration | None = None
    select: str | None = None
    patience: int | None = None
    ema: float | int | None = None
    log_every: int = 50
    save_seconds: float | int = 30.0
    save_grid: int = 10
    mesh: Mesh = field(default_factory=Mesh)


@dataclass(frozen=True)
class Replicates:
    """Which models are trained side by side: every seed with every fold of `data.splits`.

    Attributes:
        seeds: how many seeds (of each fold).
        together: how many replicates one compiled step trains; 0: all for dense models, one for convolutions on a CPU.
        only: positions (seed-major: seed * folds + fold) to train alone; empty: all. Position k alone has the same
            initialisation, order and random numbers as among all.
    """

    seeds: int = 1
    together: int = 0
    only: tuple[int, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """How the result is judged; fixed before training and hashed into the plan under which a test set is opened.

    Attributes:
        primary: the one declared primary metric.
        threshold: probability of the positive class from which a case is called positive: a number, or the rule that
            chooses it on validation cases: "youden", "accuracy", "sensitivity>=.95", "specificity>=.90", "cost 10" (a miss
            costs 10 false alarms).
        margin: non-inferiority margin of the primary metric against each reference.
        reference: a classical model fitted on the same cases, see `medjax.baselines`, or several of them, the one that
            counts first; None: no comparison.
        prevalences: further prevalences at which PPV and NPV are stated.
        decision_threshold: threshold probability at which net benefit is stated.
        resamples: bootstrap resamples.
        test: whether the run ends by opening the sealed test set once.
        calibrate: share of the validation patients that is kept apart from every other choice, to recalibrate
            probabilities and to fit conformal sets; 0: none of either.
        trials: among how many trials this experiment was chosen on validation cases (`medjax sweep`); said with the result.
    """

    primary: str = "auroc"
    threshold: float | int | str = 0.5
    margin: float | int | None = None
    reference: Callable | tuple[Callable, ...] | None = None
    prevalences: tuple[float | int, ...] = (0.1,)
    decision_threshold: float | int = 0.1
    resamples: int = 2000
    test: bool = False
    calibrate: float | int = 0.0
    trials: int = 1


@dataclass(frozen=True)
class Experiment:
    """Everything that a run is made from. A run is a pure function of (experiment, data, seed).

    Attributes:
        name: of the run folder and of the report.
        data: which cases, and how they are parted.
        task: what is learnt.
        model: a Linen module called as `model(*inputs, train=...)`; `outputs=0` in it means what the task needs.
        preprocess: functions case -> case, run on the host once a case, ending in a fixed shape; shared with prediction.
        standardise: input keys that are standardised with the training cases' mean and deviation, per replicate.
        augment: functions (key, case) -> case, run on the device inside the training step.
        mix: `medjax.augment.mixup` or `cutmix` with its settings, run on the augmented (micro-)batch; None: cases are not
            mixed. The loss is that of both targets, weighted with the shares.
        optimizer: gradients to updates.
        training: the loop.
        replicates: seeds trained side by side.
        evaluation: how the result is judged.
        seed: the one seed from which every random number is derived.
    """

    name: str
    data: Data
    task: Task
    model: nn.Module
    preprocess: tuple[Callable, ...] = ()
    standardise: tuple[str, ...] = ()
    augment: tuple[Callable, ...] = ()
    mix: Callable | None = None
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
    replicates: Replicates = field(default_factory=Replicates)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = 0


def resolve(
    experiment: Experiment, classes: tuple[str, ...], columns: tuple[str, ...] = (), codes: tuple[str, ...] = ()
) -> Experiment:
    """Fill in what follows from the data set (classes, outputs, columns, codes) and refuse settings that contradict.

    Args:
        experiment: as a configuration gives it.
        classes: of the data set.
        columns: names of the numbers of its table.
        codes: the dictionary of its events.

    Raises:
        InputError: naming the key.
    """
    training, evaluation = experiment.training, experiment.evaluation
    task = experiment.task.resolve(classes)
    outputs = getattr(experiment.model, "outputs", task.outputs)
    if outputs not in (0, task.outputs):
        raise InputError(f"model.outputs is {outputs}, but the task needs {task.outputs}; leave it 0")
    if training.patience is not None and (training.select is None or training.evaluate_every is None):
        raise InputError("training.patience needs training.select and training.evaluate_every")
    if training.select is not None and training.evaluate_every is None:
        raise InputError(f"training.select '{training.select}' needs training.evaluate_every")
    if training.ema is not None and not 0 < training.ema < 1:
        raise InputError(f"training.ema {training.ema} must lie between 0 and 1")
    for key in ("accumulate", "log_every", "save_grid"):
        if getattr(training, key) < 1:
            raise InputError(f"training.{key} {getattr(training, key)} must be at least 1")
    if isinstance(training.batch_size, int) and (training.batch_size < 1 or training.batch_size % training.accumulate):
        raise InputError(
            f"training.batch_size {training.batch_size} must be a positive multiple of accumulate {training.accumulate}"
        )
    if training.batch_size == "full" and training.accumulate != 1:
        raise InputError("training.batch_size 'full' goes with training.accumulate 1")
    if isinstance(evaluation.threshold, str):
        try:
            valid_rule(evaluation.threshold)
        except InputError as error:
            raise InputError(f"evaluation.{error}") from None
    elif not 0 <= evaluation.threshold <= 1:
        raise InputError(f"evaluation.threshold {evaluation.threshold} must lie between 0 and 1")
    if not 0 <= evaluation.calibrate < 1:
        raise InputError(f"evaluation.calibrate {evaluation.calibrate} must be a share from 0 up to, not including, 1")
    if evaluation.calibrate and task.kind in ("labels", "survival", "segmentation"):
        what = "several labels" if task.kind == "labels" else task.kind
        raise InputError(f"evaluation.calibrate is not there for {what} yet; set it to 0")
    if evaluation.resamples < 1:
        raise InputError(f"evaluation.resamples {evaluation.resamples} must be at least 1")
    if training.patience is not None and training.patience < 1:
        raise InputError(f"training.patience {training.patience} must be at least 1; null: never stop early")
    if experiment.replicates.together < 0:
        raise InputError(f"replicates.together {experiment.replicates.together} must be at least 0 (0: chosen here)")
    if experiment.replicates.seeds < 1:
        raise InputError(f"replicates.seeds {experiment.replicates.seeds} must be at least 1")
    if isinstance(experiment.data.splits, Folds | LeaveOneOut):
        if isinstance(evaluation.threshold, str):
            raise InputError(
                f"evaluation.threshold '{evaluation.threshold}' would be chosen anew in every fold; in cross-validation "
                "state a number"
            )
        if experiment.data.splits.hold_back == 0 and training.select:
            raise InputError(
                "in cross-validation the held-out fold chooses nothing: training.select needs data.splits.hold_back > 0, "
                "a part of the training folds kept for choosing"
            )
        if evaluation.test:
            raise InputError("evaluation.test is set, but cross-validation has no test set; set it to false")
    if experiment.mix is not None and task.kind == "survival":
        raise InputError("mix blends targets, and times to an event cannot be blended; set mix to null")
    if experiment.mix is not None:
        try:
            inspect.signature(experiment.mix).bind("key", "batch", "inputs")
        except TypeError as error:
            raise InputError(
                f"mix is called with (key, batch, inputs), as medjax.augment.mixup and cutmix are, and this does not fit: {error}"
            ) from error
    if not 0 < experiment.optimizer.learning_rate < float("inf"):
        raise InputError(f"optimizer.learning_rate {experiment.optimizer.learning_rate} must be positive")
    model = experiment.model.clone(outputs=task.outputs) if outputs == 0 else experiment.model
    if columns and getattr(model, "columns", None) == ():
        seen = [name for name in columns if name not in experiment.data.exclude]
        model = model.clone(columns=column_sizes(seen))
    if "code" in experiment.data.inputs:
        if not hasattr(model, "codes"):
            raise InputError(f"data.inputs names 'code', but {type(model).__name__} has no `codes` to embed")
        model = model.clone(codes=len(codes) + 2) if model.codes == 0 else model
    if "number" in experiment.standardise and "code" not in experiment.data.inputs:
        raise InputError(
            "standardise names 'number', which is standardised by `code`; name that in data.inputs as well"
        )
    return replace(experiment, task=task, model=model)
