"""The cost model by hand-computed numbers, and the work that it counts against XLA's own count."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.cost import machines, page, step, work
from benchmarks.cost.model import Axes, Machine, cost
from benchmarks.cost.work import Work
from benchmarks.speed.training import built

MACHINE = Machine(products=1e9, convolutions=5e8, bandwidth=1e9, overhead=0.01, link=1e8, latency=1e-3)
WORK = Work(
    products=2e9,
    convolutions=1e9,
    traffic=1e9,
    parameters=1e8,
    kept=1e8,
    leaves=10,
    statistics=0,
    cases=32,
    replicates=1,
)


def test_one_device_does_one_thing_after_the_other():
    found = cost(WORK, MACHINE, Axes())
    assert (found.compute, found.memory, found.exchange) == pytest.approx((2 + 2, 1, 0))
    assert found.seconds == pytest.approx(5.01)


def test_devices_share_the_cases_but_not_the_optimizer_and_sum_the_gradients():
    found = cost(WORK, dataclasses.replace(MACHINE, host=4), Axes(data=4))
    assert found.compute == pytest.approx(1)
    assert found.memory == pytest.approx(0.8 / 4 + 0.2)  # what is kept is read and written by each device
    assert found.exchange == pytest.approx(2 * 3 / 4 * 1e8 / 1e8 + 10 * 1e-3)
    assert found.hidden == pytest.approx(1 + 0.4 + 0.1 + 0.01 + 0.01)
    divided = cost(WORK, dataclasses.replace(MACHINE, host=4), Axes(fsdp=4))
    assert divided.memory == pytest.approx(0.8 / 4 + 0.2 / 4)
    assert divided.exchange == pytest.approx(3 * 3 / 4 + 0.01)


def test_hosts_exchange_what_is_left_to_each_device():
    far = dataclasses.replace(MACHINE, host=4, network=1e7, network_latency=1e-3, combined=2e7)
    found = cost(WORK, far, Axes(data=16))
    assert found.exchange == pytest.approx(2 * 3 / 4 + 2 * (1e8 / 4) * 3 / 4 / 1e7 + 5 * (1e-3 + 2e-3))


def test_replicates_never_talk_and_clones_fill_them_up():
    many = dataclasses.replace(WORK, replicates=5)
    found = cost(many, MACHINE, Axes(replicate=4))
    assert found.exchange == 0
    assert found.compute == pytest.approx(4 * 2 / 5)  # two of five on the fullest device


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_machine(count):
    rates = {"products": 1e9, "convolutions": 1e9, "bandwidth": 1e9, "overhead": 1e-4}
    shared = {name: rate / count for name, rate in rates.items()}  # as measured in all of them at once
    here = machines.here(shared, count, [1e-3, 2e-3, 21e-3])
    assert here.link == pytest.approx(2 * (count - 1) / count * (2**24 - 2**12) / 20e-3)
    alone, together = cost(WORK, machines.here(rates, 1, []), Axes()), cost(WORK, here, Axes(data=count))
    assert together.compute == pytest.approx(alone.compute)


def test_the_counted_operations_of_a_step_are_those_of_the_compiler():
    experiment, arrays, batch, replicates = step.experiment("replicates", 1)
    programs = built(experiment, arrays, batch, replicates, jax.devices()[:1])
    shapes = step.shapes(programs, arrays, batch)
    found = work.of(programs, shapes, batch)
    told = programs.train.lower(*shapes).cost_analysis()["flops"]
    assert found.products / told == pytest.approx(1, abs=0.1)  # it adds what is no product
    assert found.convolutions == 0
    assert found.parameters == 24 * sum(leaf.size * 4 for leaf in jax.tree.leaves(programs.parameters))
    assert found.traffic > 2 * found.kept


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_counted_operations_of_convolutions_and_their_gradients_are_those_of_the_compiler(dimensions, strides):
    def loss(kernel, x):
        numbers = jax.lax.conv_dimension_numbers(x.shape, kernel.shape, None)
        y = jax.lax.conv_general_dilated(x, kernel, (strides,) * dimensions, "VALID", dimension_numbers=numbers)
        return (y**2).sum()

    kernel, x = jnp.ones((16, 8, *(3,) * dimensions)), jnp.ones((2, 8, *(15,) * dimensions))
    gradient = jax.grad(loss, (0, 1))
    told = jax.jit(gradient).lower(kernel, x).cost_analysis()["flops"]
    found = work.operations(jax.make_jaxpr(gradient)(kernel, x).jaxpr)
    assert found["products"] == 0
    assert found["convolutions"] / told == pytest.approx(1, abs=0.35 if dimensions == 2 else 0.5)  # padding counts here


def test_the_table_of_accelerators_has_its_best_on_one():
    rows = [row.split("|") for row in page.ahead("a step", WORK, "NVIDIA H200") if row.startswith("| ")]
    efficiency = [float(cells[5].split(" to ")[0]) for cells in rows[1:]]
    assert efficiency[0] == 1
    assert np.all(np.diff(efficiency) <= 0)
