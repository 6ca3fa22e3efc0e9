"""What a layer of a model gives, by the layer's name. Outputs are recorded by Linen (`capture_intermediates`)."""

import difflib
import re
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array

from medjax.errors import InputError

Inputs = Any  # arrays, or their shapes


def features(model: nn.Module, variables: Any, *inputs: Inputs, name: str) -> Array:
    """Return the output of one layer, as the model computes it in evaluation (dropout off).

    A pure function: under `jax.jit` what lies behind the layer is not computed. For example, the 512 averaged features
    of a ResNet-18, and the output of one block:

        features(model, variables, images, name="pooled")
        features(model, variables, images, name="stage_3_block_2")

    Args:
        model: a Linen module called as `model(*inputs, train=...)`.
        variables: its parameters and model state.
        inputs: as the model takes them, standardised.
        name: the layer's path, such as "block_3/norm_1", or a regular expression that fits one path from start to end.

    Returns:
        The layer's output, with a leading batch axis and the type of the computation.

    Raises:
        InputError: no layer has this name (the nearest are named), or several fit it.
    """
    known: Any = layer_names(model, variables, *inputs)
    wanted = find(name, tuple(path for path, _ in known))
    _, found = _capture(model, variables, inputs, wanted)
    return found[wanted]


def layer_names(model: nn.Module, variables: Any, *inputs: Inputs) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return (name, shape of the output) of every layer that gives one array, in the order of the computation.

    Nothing is computed: `variables` and `inputs` may be shapes (`jax.eval_shape`).
    """
    names: list[str] = []

    def run(variables: Any, *inputs: Inputs) -> dict[str, Array]:
        order, found = _capture(model, variables, inputs, None)
        names.extend(path for path in order if path in found)
        return found

    shapes = jax.eval_shape(run, variables, *inputs)
    return tuple((path, shapes[path].shape) for path in names)


def find(name: str, known: tuple[str, ...]) -> str:
    """Return the one known layer that a name or a regular expression means.

    Raises:
        InputError: none (the nearest are named), or several.
    """
    if name in known:
        return name
    try:
        fitting = [path for path in known if re.fullmatch(name, path)]
    except re.error as error:
        raise InputError(f"layer '{name}' is no name of a layer, and no regular expression ({error})") from error
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        more = f" and {len(fitting) - 4} more" if len(fitting) > 4 else ""
        raise InputError(f"layer '{name}' fits {len(fitting)} layers ({', '.join(fitting[:4])}{more}): name one")
    near = [path for path in known if name and name in path]
    near += [path for path in difflib.get_close_matches(name, known, n=4, cutoff=0.4) if path not in near]
    raise InputError(f"there is no layer '{name}'; the nearest are {', '.join((near or [*known])[:4]) or 'none'}")


def _capture(
    model: nn.Module, variables: Any, inputs: tuple[Inputs, ...], wanted: str | None
) -> tuple[list[str], dict[str, Array]]:
    """Return the paths of the layers in the order in which they end, and the recorded outputs: one layer's, or all."""
    order: list[str] = []

    def keep(module: nn.Module, method: str) -> bool:
        path = "/".join(module.path)
        if method != "__call__" or not path:
            return False
        if path not in order:
            order.append(path)
        return wanted in (None, path)

    _, state = model.apply(variables, *inputs, train=False, capture_intermediates=keep, mutable=["intermediates"])
    found: dict[str, Array] = {}
    for path in order:
        node: Any = state.get("intermediates", {})
        for part in path.split("/"):
            node = node.get(part, {})
        # A layer that is called twice gives its last output; one that gives several arrays has no single output.
        outputs = node.get("__call__", ())
        if outputs and isinstance(outputs[-1], jax.Array):
            found[path] = outputs[-1]
    return order, found
