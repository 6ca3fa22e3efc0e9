"""Features of a trained run: every replicate's own, for every case, whatever the batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.experiment import Data
from medjax.models import Perceptron, VisionTransformer
from medjax.predictor import Predictor
from medjax.tasks import Survival

RNG = np.random.default_rng(0)


def predictor(experiment, shape: tuple[int, ...], fitted: dict) -> Predictor:
    """Two replicates with drawn parameters, as if they had been trained."""
    key = experiment.data.inputs[0]
    drawn = jax.eval_shape(
        lambda: experiment.model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False),
    )
    variables = jax.tree.map(lambda leaf: RNG.normal(size=(2, *leaf.shape)).astype(np.float32) * 0.3, drawn)
    record = {"replicates": [{}, {}], "data": {"columns": ["x"] * shape[0], "shapes": {key: [shape, "float32"]}}}
    return Predictor(experiment, record, variables, fitted)


@pytest.fixture
def table(small) -> Predictor:
    experiment = dataclasses.replace(small, model=Perceptron(hidden=(4,), outputs=2))
    fitted = {"table": {"mean": np.zeros((2, 3), np.float32), "scale": np.array([[1.0] * 3, [2.0] * 3], np.float32)}}
    return predictor(experiment, (3,), fitted)


def test_features_are_each_replicate_s_own_standardised_by_its_own_and_in_order(table) -> None:
    x = RNG.normal(size=(259, 3)).astype(np.float32)  # one batch and a bit
    found = table.features([{"id": str(i), "table": row} for i, row in enumerate(x)], "hidden_1")
    assert found.shape == (2, 259, 4)
    assert found.dtype == np.float32
    for number, scale in enumerate((1, 2)):
        layer = jax.tree.map(lambda leaf, k=number: leaf[k], table.variables["params"]["hidden_1"])
        np.testing.assert_allclose(found[number], x / scale @ layer["kernel"] + layer["bias"], atol=1e-5)


def test_pooled_features_are_averaged_over_space(small) -> None:
    model = VisionTransformer(patch=4, depth=1, width=8, heads=2, outputs=2)
    experiment = dataclasses.replace(small, model=model, data=Data(name="any", inputs=("image",)), standardise=())
    work = predictor(experiment, (8, 8, 1), {})
    cases = [{"id": str(i), "image": RNG.normal(size=(8, 8, 1)).astype(np.float32)} for i in range(3)]
    whole = work.features(cases, "patches")
    assert whole.shape == (2, 3, 2, 2, 8)
    np.testing.assert_allclose(work.features(cases, "patches", pooled=True), whole.mean(axis=(2, 3)), atol=1e-6)


def test_what_does_not_fit_is_refused(table) -> None:
    case = {"id": "a", "table": np.zeros(3, np.float32)}
    with pytest.raises(InputError, match="there is no layer 'hiden_1'; the nearest are hidden_1"):
        table.features([case], "hiden_1")
    with pytest.raises(InputError, match="case 'a': it has no input"):
        table.features([{"id": "a"}], "hidden_1")
    with pytest.raises(InputError, match="no case"):
        table.features([], "hidden_1")


def test_a_stratum_without_a_baseline_is_refused_before_anything_is_predicted(small) -> None:
    task = Survival(9, (3,), strata=2).resolve(())
    work = predictor(dataclasses.replace(small, task=task, model=Perceptron(hidden=(), outputs=1)), (3,), {})
    work.record["data"]["shapes"]["stratum"] = [(), "int32"]
    case = {"id": "a", "table": np.zeros(3, np.float32)}
    with pytest.raises(InputError, match="case 'a' has no 'stratum', which this run needs"):
        work.predict([case])
    with pytest.raises(InputError, match="case 'a' has stratum 2; this run knows 0 to 1"):
        work.predict([{**case, "stratum": 2}])
