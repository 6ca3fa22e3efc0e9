"""The settings with which a step fits into memory; the compiler is replaced by a formula but where it is the point."""

import dataclasses
import re

import pytest

from medjax import config, job, memory
from medjax.errors import InputError
from medjax.memory import Need, Setting
from medjax.models import Perceptron
from medjax.report.memory_table import memory_table

ONE = ("training.mesh.replicate=1", "training.mesh.data=1")  # device, of the several that tests simulate


def test_an_amount_is_read_as_it_is_typed():
    assert memory.parse("16GiB") == 16 * 2**30 == memory.parse("16")
    assert memory.parse(" 1.5 gb") == 1_500_000_000
    for text in ("", "lots", "0", "-1", "3 apples"):
        with pytest.raises(InputError, match="16GiB"):
            memory.parse(text)


@pytest.mark.parametrize(("room", "found"), [(99, 0), (110, 1), (139, 2), (140, 4), (600, 48), (1000, 64)])
def test_the_largest_that_fits_is_found_with_few_plans(room, found):
    sizes, asked = memory.batch_sizes(1, 48, 100), []

    def takes(size: int) -> float:
        asked.append(size)
        return 100 + 10 * size if size < 64 else 900

    assert sizes == [1, 2, 4, 8, 16, 32, 48, 64]
    assert memory.largest_fitting(sizes, takes, room + 0.5 if found else room) == found
    assert len(set(asked)) <= 4
    assert memory.largest_fitting([6], takes, 500) == 6


@pytest.fixture
def planned(monkeypatch):
    """Every case takes 100 bytes, with remat 40, beside 50 that are kept; returns what sets the room."""
    monkeypatch.setattr(
        memory,
        "_need",
        lambda job, setting: Need(50, setting.batch // setting.accumulate * (40 if setting.remat else 100)),
    )
    return lambda room: monkeypatch.setattr(memory, "limit", lambda asked: (room, "a test"))


@pytest.fixture
def saving(small):
    """A batch of 32 cases, of a model that knows of remat."""
    own = config.override(small, ["training.batch_size=32", "replicates.seeds=1", *ONE])
    return dataclasses.replace(own, model=SavingNet(hidden=(4,)))


class SavingNet(Perceptron):
    remat: bool = False


def test_the_batch_stays_and_is_taken_whole_then_in_parts_then_with_remat(saving, planned, monkeypatch):
    built = job.build(saving)
    plan = memory.planned(built)
    assert plan is not None
    assert plan.kept > 4 * 569 * 30  # the resident table
    monkeypatch.setattr(memory, "build", lambda experiment, data_dir: built)
    planned(3300)
    whole = memory.search(saving, None)
    assert whole.chosen == whole.asked == Setting(32, 1, False)
    assert whole.assignments == []
    assert whole.largest == {False: 32, True: 64}
    planned(900)
    parts = memory.search(saving, None)
    assert parts.assignments == ["training.accumulate=4"]
    assert "8 without remat, 16 with; there are 268 training cases" in memory_table(parts)
    planned(100)
    least = memory.search(saving, None)
    assert least.assignments == ["training.accumulate=32", "model.remat=true"]
    assert least.largest == {False: 0, True: 1}
    planned(80)
    with pytest.raises(InputError, match=re.escape("a batch of 1 needs 8.38e-08 GiB a device even with remat")):
        memory.search(saving, None)


@pytest.mark.slow
def test_the_compiler_plans_less_for_parts_of_a_batch(small):
    own = config.override(small, ["training.batch_size=256", "replicates.seeds=1", "model.hidden=[32,32,32]", *ONE])
    work = job.build(own)
    whole, parts = (memory._need(work, Setting(256, count, False)) for count in (1, 4))
    assert whole.kept > 4 * 3 * 30 * 32  # parameters and two moments
    assert whole.work > 4 * 256 * 3 * 32  # the hidden layers
    assert parts.work < whole.work / 2
