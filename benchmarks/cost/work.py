"""The work of one training step, counted before anything runs: products, convolutions, bytes, what is kept and exchanged."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core
import numpy as np


@dataclass(frozen=True)
class Work:
    """What one step of a wave of replicates does, on all devices together.

    Attributes:
        products: multiplications and additions in matrix products.
        convolutions: the same in convolutions.
        traffic: bytes that the compiled step reads and writes, optimizer included, on one device.
        parameters: bytes of the parameters of all replicates; as many gradients are summed over the cases' devices.
        kept: bytes of what lies on the devices between steps: parameters, averages, moments.
        leaves: arrays of parameters, each of which is summed by itself.
        statistics: sums of batch statistics over the cases' devices, forward and backward.
        cases: of the step.
        replicates: in the step.
    """

    products: float
    convolutions: float
    traffic: float
    parameters: float
    kept: float
    leaves: int
    statistics: int
    cases: int
    replicates: int


def of(programs: Any, arguments: tuple[Any, ...], batch: int) -> Work:
    """Count the work of a compiled set of functions.

    Args:
        programs: `medjax.training.programs.Programs`, of one device.
        arguments: shapes of what its `train` takes.
        batch: cases a step and replicate.
    """
    traced = programs.train.trace(*arguments)
    told = traced.lower().compile().cost_analysis() or {}
    replicates = len(np.unique(programs.waves[0]))

    def size(tree: Any) -> int:
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

    state = programs.state
    leaves = len(jax.tree.leaves(programs.parameters))
    statistics = len(jax.tree.leaves(state.variables.get("batch_stats", {})))
    return Work(
        **operations(traced.jaxpr.jaxpr),
        traffic=float(told.get("bytes accessed", 0.0)),
        parameters=replicates * size(programs.parameters),
        kept=replicates * size(state),
        leaves=leaves,
        statistics=statistics,
        cases=batch * replicates,
        replicates=replicates,
    )


def operations(jaxpr: Any) -> dict[str, float]:
    """Return the operations of products and convolutions, those of inner functions included."""
    found = {"products": 0.0, "convolutions": 0.0}
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            found["products"] += 2 * _contracted(equation) * math.prod(equation.outvars[0].aval.shape)
        elif name == "conv_general_dilated":
            found["convolutions"] += _convolved(equation)
        times = equation.params.get("length", 1) if name == "scan" else 1
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            for key, value in operations(inner).items():
                found[key] += times * value
    return found


def _contracted(equation: Any) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return math.prod(shape[axis] for axis in axes)


def _convolved(equation: Any) -> float:
    """Operations of one convolution: those of its kernel for every number of its output, or, where the input is dilated
    (a gradient), for every number of its input that is not padding."""
    p = equation.params
    numbers = p["dimension_numbers"]
    kernel, output = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
    taps = math.prod(kernel[axis] for axis in numbers.rhs_spec[2:]) * kernel[numbers.rhs_spec[1]]
    dilation = math.prod(p["lhs_dilation"])
    return 2 * taps * math.prod(output) / dilation
