import dataclasses
import json
from functools import partial

import flax.linen as nn
import jax
import optax
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.models import Perceptron


def test_json_rebuilds_the_same_experiment(small):
    text = config.dumps(small)
    again = config.decode(json.loads(text))
    assert isinstance(again, Experiment)
    assert config.dumps(again) == text
    assert again.optimizer.transform is optax.adam


def test_public_names_are_public():
    assert config.public_name(optax.adamw) == "optax.adamw"
    assert config.public_name(jax.nn.gelu) in ("jax.nn.gelu", "flax.linen.gelu")
    assert config.public_name(Perceptron) in ("medjax.models.Perceptron", "medjax.models.perceptron.Perceptron")


def test_lambdas_and_closures_are_refused_by_name():
    def inner(x):
        return x

    for thing in (lambda x: x, inner):
        with pytest.raises(InputError, match="lambda or a function inside a function"):
            config.encode({"f": thing})


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "medjax.config.Path",
        "medjax.config.importlib.import_module",
        "builtins.eval",
        "medjax.config._build",
    ],
)
def test_names_outside_the_allowed_roots_are_refused(name):
    with pytest.raises(InputError):
        config.decode({"def": name})


def test_a_function_that_is_not_named_as_one_gets_advice(small):
    with pytest.raises(InputError, match='a function is named by "def"'):
        config.override(small, ['mix={"class": "medjax.augment.mixup", "alpha": 0.2}'])
    with pytest.raises(InputError, match='a function its "def"'):
        config.override(small, ['mix={"function": "medjax.augment.mixup", "alpha": 0.2}'])


@pytest.mark.parametrize(
    ("text", "number"), [(".5", 0.5), ("-.5", -0.5), ("5.", 5.0), (".5e-3", 0.0005), ("1e-3", 0.001)]
)
def test_numbers_are_read_as_people_type_them(small, text, number):
    assert config.override(small, [f"training.ema={text}"]).training.ema == number


def test_override_changes_one_key_and_keeps_the_rest(small):
    changed = config.override(small, ["training.duration.steps=7", "model.hidden=[4, 4]", "optimizer.transform.b1=0.5"])
    assert changed.training.duration.steps == 7
    assert changed.model.hidden == (4, 4)
    assert changed.optimizer.transform.keywords == {"b1": 0.5}
    assert len(config.differences(config.encode(small), config.encode(changed))) == 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.batchsize=3", "did you mean 'batch_size'"),
        ("training.batch_size=many", "is not of type"),
        ("training.batch_size=1.5", "is not of type"),
        ("training.log_every=true", "is not of type"),
        ("optimizer.transform.b3=1", "did you mean 'b2'"),
        ("training.duration.epochs=3", "steps and epochs"),
        ("replicates.seeds.x=1", "has no keys"),
        ("nothing", "key.sub=value"),
        ("model.hidden.3=1", "not a position"),
        ("task.loss=hinge", "is not of type"),
        ("model.hidden=64", r"64 is not of type tuple\[int, ...\]; several are written in brackets"),
        ("model.hidden=(64,32)", r"'\(64,32\)' is not of type tuple\[int, ...\]; several are written in brackets"),
    ],
)
def test_a_wrong_override_is_named(small, assignment, message):
    with pytest.raises(InputError, match=message):
        config.override(small, [assignment])


def test_a_config_file_with_its_own_model_round_trips(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "import flax.linen as nn\n"
        "class Own(nn.Module):\n"
        "    width: int = 3\n"
        "    @nn.compact\n"
        "    def __call__(self, x, *, train):\n"
        "        return nn.Dense(self.width)(x)\n"
        "experiment = {'model': Own(width=5)}\n"
    )
    loaded = config.load_experiment(path)
    assert loaded["model"].width == 5
    assert config.encode(loaded)["model"]["class"] == "configs.own.Own"
    assert isinstance(loaded["model"], nn.Module)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "defines no 'experiment'"),
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError"),
        ("x = = 1", "line 1"),
    ],
)
def test_a_broken_config_file_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        config.load_experiment(path)


def test_a_missing_config_file_suggests_the_nearest(tmp_path):
    (tmp_path / "breast.py").write_text("experiment = 1")
    with pytest.raises(InputError, match="did you mean '.*breast.py'"):
        config.load_experiment(tmp_path / "brest.py")


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(InputError, match="not a finite number"):
        config.encode({"rate": float("nan")})


def test_partials_with_positions_are_refused():
    with pytest.raises(InputError, match="as keywords"):
        config.encode(partial(optax.adam, 0.1))


def test_types_of_nested_fields_are_checked():
    @dataclasses.dataclass(frozen=True)
    class Pair:
        first: int
        second: tuple[float, ...]

    built = config._build(Pair, {"first": 1, "second": (1.0, 2)}, "pair")
    assert built == Pair(1, (1.0, 2))
    with pytest.raises(InputError, match="second"):
        config._build(Pair, {"first": 1, "second": (1.0, "2")}, "pair")
    with pytest.raises(InputError, match="'second' is missing"):
        config._build(Pair, {"first": 1}, "pair")


FUNCTION = """
import medjax
from medjax.experiment import Data, Duration, Experiment, Training
from medjax.models import Perceptron
from medjax.tasks import Classification
from typing import Literal

def experiment(size: int = 28, depth: Literal["flat", "deep"] = "flat", mark: str = "x") -> Experiment:
    hidden = (size,) * (1 if depth == "flat" else 3)
    return Experiment(
        name=f"{mark}_{size}", data=Data(name="breast_cancer_wisconsin", inputs=("table",)),
        task=Classification(positive="malignant"), model=Perceptron(hidden=hidden),
        training=Training(duration=Duration(epochs=2.0)),
    )
"""


@pytest.fixture
def parameterised(tmp_path):
    path = tmp_path / "sizes.py"
    path.write_text(FUNCTION)
    return path


def test_assignments_reach_the_parameters_of_a_configuration_and_the_experiment_behind_them(parameterised):
    plain = config.load_experiment(parameterised)
    assert (plain.name, plain.model.hidden) == ("x_28", (28,))
    changed = config.load_experiment(parameterised, ["depth=deep", "size=4", "seed=3", "training.duration.epochs=5"])
    assert (changed.name, changed.model.hidden, changed.seed) == ("x_4", (4, 4, 4), 3)
    assert changed.training.duration.epochs == 5.0
    assert config.load_experiment(parameterised, ["mark=64"]).name == "64_28"  # text stays text
    assert config.dumps(config.decode(json.loads(config.dumps(changed)))) == config.dumps(changed)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("size=big", "--set size: 'big' is not of type int"),
        ("depth=deeper", "--set depth: 'deeper'"),
        ("sise=3", "there is no key 'sise'; did you mean 'size'"),
        ("training.durations.epochs=3", "did you mean 'duration'"),
        ("size", "write it as key.sub=value|there is no key"),
    ],
)
def test_wrong_assignments_to_parameters_are_named(parameterised, assignment, message):
    with pytest.raises(InputError, match=message):
        config.load_experiment(parameterised, [assignment])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("size=28", "'size' of experiment needs an annotation and a default"),
        ("*, size: int", "needs an annotation and a default"),
        ("size: int = 3, seed: int = 3", "'seed' has the name of a key of the experiment"),
    ],
)
def test_parameters_need_a_type_a_default_and_a_name_of_their_own(tmp_path, head, message):
    path = tmp_path / "wrong.py"
    path.write_text(FUNCTION.replace("size: int = 28", head))
    with pytest.raises(InputError, match=message):
        config.load_experiment(path)
