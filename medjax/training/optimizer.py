"""From the settings to one optax transform: rates, decay and freezing by regex tables that cover every parameter."""

import copy
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from medjax.errors import InputError
from medjax.experiment import Optimizer

# The keys of an experiment whose numbers may be values of the compiled step, one a replicate: of a sweep.
SWEPT = r"optimizer\.(learning_rate|clip|transform\.\w+)"


def with_numbers(settings: Optimizer, numbers: Mapping[str, Any]) -> Optimizer:
    """Return the settings with some numbers replaced, by their keys below `optimizer`; they may be traced values."""
    new = copy.copy(settings)
    for key, value in numbers.items():
        if key.startswith("transform."):
            key, value = "transform", functools.partial(new.transform, **{key.removeprefix("transform."): value})
        object.__setattr__(new, key, value)  # a traced value is not of the type that the settings of a file must have
    return new


def parameter_path(path: tuple[Any, ...]) -> str:
    """Return `Dense_0/kernel` for a key path of jax.tree_util."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def match(table: tuple[tuple[str, float], ...], params: Any, where: str) -> Any:
    """Return a tree like `params` that holds the number of the first pattern matching each parameter's whole path.

    Raises:
        InputError: a parameter that no pattern matches, a pattern (other than ".*") that matches nothing, a bad regex.
    """
    try:
        patterns = [(re.compile(pattern), value) for pattern, value in table]
    except re.error as error:
        raise InputError(f"{where}: '{error.pattern!r}' is no regular expression: {error}") from error
    used = set()

    def find(path: tuple[Any, ...], _: Any) -> float:
        name = parameter_path(path)
        for number, (pattern, value) in enumerate(patterns):
            if pattern.fullmatch(name):
                used.add(number)
                return value
        raise InputError(f"{where}: no pattern matches the parameter '{name}'; end the table with ('.*', value)")

    values = jax.tree_util.tree_map_with_path(find, params)
    names = [parameter_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for number, (pattern, _) in enumerate(patterns):
        matches = any(pattern.fullmatch(name) for name in names)
        if number not in used and pattern.pattern != ".*":
            reason = "only parameters that an earlier pattern takes" if matches else "no parameter"
            raise InputError(
                f"{where}: '{pattern.pattern}' matches {reason}; the parameters are {', '.join(names[:12])}"
            )
    return values


def learning_rate(settings: Optimizer, total_steps: int) -> Callable[[Any], Any]:
    """Return the rate as a function of the step count."""

    def rate(count: Any) -> Any:
        if settings.schedule is None:
            return settings.learning_rate
        progress = jnp.clip(jnp.asarray(count, float) / total_steps, 0.0, 1.0)
        return settings.learning_rate * settings.schedule(progress)

    return rate


def build(settings: Optimizer, params: Any, total_steps: int) -> optax.GradientTransformation:
    """Return the transform: freeze, clip, the optax transform, decoupled decay, rate factors.

    It is built inside the traced step, so that a number in `settings` may be a traced value. Frozen parameters (factor 0)
    take no part in the clipping norm and get exactly no update.

    Args:
        settings: the experiment's optimizer.
        params: the parameters, or their shapes.
        total_steps: the length of training, which schedules need.
    """
    factors = match(settings.rates, params, "optimizer.rates")
    rate = learning_rate(settings, total_steps)
    frozen = any(factor == 0 for factor in jax.tree.leaves(factors))
    parts = []
    if frozen:
        parts.append(_multiply(jax.tree.map(lambda factor: float(factor != 0), factors)))
    if settings.clip is not None:
        parts.append(optax.clip_by_global_norm(settings.clip))
    parts.append(_transform(settings, rate))
    if settings.decay:
        parts.append(_decay(match(settings.decay, params, "optimizer.decay"), rate))
    if any(factor != 1 for factor in jax.tree.leaves(factors)):
        parts.append(_multiply(factors))
    return optax.chain(*parts)


def _transform(settings: Optimizer, rate: Callable) -> optax.GradientTransformation:
    bound = getattr(settings.transform, "keywords", {})
    names = inspect.signature(settings.transform).parameters
    if "learning_rate" in bound:
        raise InputError(
            "optimizer.transform: give learning_rate as optimizer.learning_rate, where the schedule uses it"
        )
    keywords: dict[str, Any] = {}
    if settings.decay:
        if bound.get("weight_decay") is not None and not _is_zero(bound["weight_decay"]):
            raise InputError("optimizer: both decay and transform.weight_decay are set; keep one")
        if "weight_decay" in names:
            keywords["weight_decay"] = 0.0
    if "learning_rate" in names:
        return settings.transform(learning_rate=rate, **keywords)
    scale = optax.scale_by_schedule(lambda count: -rate(count))
    return optax.chain(settings.transform(**keywords), scale)


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0


def _multiply(factors: Any) -> optax.GradientTransformation:
    return optax.stateless(lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors))


def _decay(decays: Any, rate: Callable) -> optax.GradientTransformation:
    def init(params: Any) -> optax.ScaleByScheduleState:
        del params
        return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.ScaleByScheduleState]:
        step_size = rate(state.count)
        updates = jax.tree.map(lambda u, p, d: (u - step_size * d * p).astype(u.dtype), updates, params, decays)
        return updates, optax.ScaleByScheduleState(count=state.count + 1)

    return optax.GradientTransformation(init, update)
