"""The experiment files: every one loads, and fits the data that it names."""

import functools
import json
from importlib.resources import files
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.experiment import resolve

CONFIGS = Path(__file__).parents[1] / "configs"
FACTS = json.loads(files("medjax.data.builders").joinpath("medmnist.json").read_text())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_file_loads_and_rebuilds_from_its_json(path):
    experiment = config.load_experiment(path)
    text = config.dumps(experiment)
    assert config.dumps(config.decode(json.loads(text))) == text
    assert f"--config configs/{path.name}" in path.read_text() or path.stem == "breast_cancer"


@pytest.mark.parametrize("protocol", ["ours", "official"])
@pytest.mark.parametrize("flag", FACTS)
def test_one_file_serves_all_of_medmnist(flag, protocol):
    facts = FACTS[flag]
    size = max(int(side) for side in facts["md5"])
    settings = [f"flag={flag}", f"protocol={protocol}", f"size={size}"]
    experiment = resolve(config.load_experiment(CONFIGS / "medmnist.py", settings), tuple(facts["labels"]))
    assert experiment.data.name == f"{flag}_{size}"
    assert experiment.task.kind == {"multi-label": "labels", "ordinal": "grade"}.get(
        facts["task"] if protocol == "ours" or facts["task"] == "multi-label" else "", "probability"
    )
    shape = (1, *(28,) * facts["dimensions"], facts["channels"])
    assert outputs(experiment.model, shape) == (1, experiment.task.outputs)


@functools.cache
def outputs(model, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what a model gives for images of a shape; many of the sets have one model in common."""
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), image)[0].shape


def test_an_unknown_flag_or_protocol_is_named():
    with pytest.raises(InputError, match="did you mean 'breastmnist'"):
        config.load_experiment(CONFIGS / "medmnist.py", ["flag=brestmnist"])
    with pytest.raises(InputError, match="--set protocol: 'theirs'"):
        config.load_experiment(CONFIGS / "medmnist.py", ["protocol=theirs"])
