"""The planner: settings follow from sizes, spacings and intensities alone, by rules that can be worked out by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.segmentation import planner

IMPORTS = """
from functools import partial

from medjax.experiment import Data, Experiment, Training
from medjax.models import UNet
from medjax.preprocess import normalise_case, resample, rescale
from medjax.tasks import Segmentation
"""

FOUND = planner.Fingerprint(
    key="volume",
    cases=100,
    channels=1,
    shapes=((36, 50, 35),) * 100,
    spacings=((1.0, 1.0, 1.0),) * 100,
    classes=("background", "organ"),
    smallest=0.0,
    integer=False,
    foreground=(10.0, 90.0),
)


def test_the_hippocampus_gets_the_patch_that_nnu_net_gives_it():
    plan = planner.propose(FOUND, platform="gpu")
    assert plan.patch == (40, 56, 40)  # Isensee et al. 2021, supplementary table: 40 x 56 x 40, three halvings
    assert plan.strides == ((2, 2, 2),) * 3
    assert plan.spacing == ()
    assert plan.batch_size == 3  # a twentieth of 100 x 36 x 50 x 35 voxels holds three and a half patches
    assert plan.intensities == "case"


def test_thick_slices_are_halved_and_convolved_only_once_the_pixels_are_as_wide():
    strides, kernels = planner.topology((20, 256, 256), (5.0, 1.0, 1.0))
    assert strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
    assert planner.topology((4, 4), (1.0, 1.0)) == (((2, 2),), ((3, 3), (3, 3)))  # never fewer than two levels


def test_spacings_that_differ_are_brought_to_the_median_thick_slices_to_the_tenth_percentile():
    steps = tuple((float(thick), 1.0, 1.0 + 0.1 * (k % 3)) for k, thick in enumerate([4, 5, 6, 7, 8] * 20))
    plan = planner.propose(replace(FOUND, shapes=((20, 200, 200),) * 100, spacings=steps))
    assert plan.spacing == (4.0, 1.0, 1.1)
    assert "10th percentile" in plan.reasons["spacing"]
    assert planner.propose(replace(FOUND, spacings=())).spacing == ()


def test_less_memory_makes_the_patch_smaller_and_never_the_batch_smaller_than_two():
    large = replace(FOUND, shapes=((128, 512, 512),) * 100)
    sizes = []
    for memory in (64.0, 16.0, 4.0):
        plan = planner.propose(large, memory, "gpu")
        need = planner._gigabytes(plan.patch, plan.packing, plan.widths, plan.strides)
        blocks = np.prod(plan.strides, axis=0)
        assert (np.array(plan.patch) % blocks == 0).all()
        assert plan.batch_size >= 2
        assert 2 * need < 1.5 * memory  # sides are rounded up
        sizes.append(np.prod(plan.patch))
    assert sizes[0] > sizes[1] > sizes[2]


def test_intensities_say_how_they_are_normalised():
    assert planner.propose(replace(FOUND, smallest=-1024.0)).intensities == "window"
    assert planner.propose(replace(FOUND, integer=True)).intensities == "range"


def test_a_fingerprint_reads_sizes_spacings_and_the_intensities_of_the_foreground():
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0, 0, :2] = 1
    volume = np.full((2, 3, 4, 1), -5.0, np.float32)
    volume[0, 0, :2, 0] = (10.0, 20.0)
    case = {"id": "a", "volume": volume, "segmentation": labels, "spacing": np.array([3.0, 1, 1])}
    found = planner.fingerprint([case, case], ("background", "organ"))
    assert (found.shapes, found.spacings) == (((2, 3, 4),) * 2, ((3.0, 1.0, 1.0),) * 2)
    assert (found.smallest, found.integer) == (-5.0, False)
    assert 10 <= found.foreground[0] < found.foreground[1] <= 20
    with pytest.raises(InputError, match="no case"):
        planner.fingerprint([], ("background", "organ"))


@pytest.mark.parametrize("change", [{}, {"smallest": -1000.0}, {"spacings": ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0)) * 50}])
def test_what_is_printed_can_stand_in_an_experiment_file(change, tmp_path):
    found = replace(FOUND, **change)
    plan = planner.propose(found)
    text = planner.described(found, plan)
    assert all(reason in text for reason in plan.reasons.values())
    file = tmp_path / "planned.py"
    lines = planner.snippet(found, plan).replace(", ...", "")
    file.write_text(
        f"{IMPORTS}\nexperiment = Experiment(\n    name='x', data=Data(name='x', inputs=('volume',)),\n{lines}\n)\n"
    )
    given = config.load_experiment(file)
    assert given.task.patch == plan.patch
    assert given.training.batch_size == plan.batch_size
    x = jax.ShapeDtypeStruct((1, *plan.patch, 1), jnp.float32)
    model = given.model.clone(outputs=2)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x)
    assert jax.tree.leaves(variables)
