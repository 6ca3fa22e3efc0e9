"""The vocabulary knows what training cases hold, and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import config, job
from medjax.data.origins import Events, EventTable, Table
from medjax.data.split import Folds
from medjax.errors import InputError
from medjax.experiment import Data
from medjax.models import EventGRU
from medjax.training.step import model_inputs
from medjax.vocabulary import UNKNOWN, fit_vocabulary, known_codes, standardise_numbers

NAN = np.nan


def case(code, number):
    return {"code": np.array(code, np.int32), "number": np.array(number, np.float32)}


TRAIN = [case([2, 3, 3, 0], [140, 1, 5, NAN]), case([2, 5, 0, 0], [130, NAN, NAN, NAN])]


def test_codes_of_no_training_case_are_unknown_and_numbers_are_standardised_by_code():
    fitted = fit_vocabulary(TRAIN, 6)
    np.testing.assert_array_equal(fitted["known"], [True, True, True, True, False, True])
    np.testing.assert_allclose(fitted["mean"], [0, 0, 135, 3, 0, 0])
    np.testing.assert_allclose(fitted["scale"], [np.inf, np.inf, 5, 2, np.inf, np.inf])
    code = jnp.array([[2, 3, 4, 0]])
    np.testing.assert_array_equal(jax.jit(known_codes)(fitted, code), [[2, 3, UNKNOWN, 0]])
    found = jax.jit(standardise_numbers)(fitted, code, jnp.array([[145.0, NAN, 77.0, 9.0]]))
    np.testing.assert_allclose(found, [[2, NAN, 0, 0]])


def test_held_out_cases_change_nothing_and_a_strange_code_is_refused():
    fitted, only = fit_vocabulary(TRAIN, 6), fit_vocabulary(({"code": one["code"]} for one in TRAIN), 6)
    np.testing.assert_array_equal(fitted["known"], only["known"])
    assert np.isinf(only["scale"]).all()
    with pytest.raises(InputError, match="code 9 lies outside the dictionary of 6"):
        fit_vocabulary([case([9], [1.0])], 6)


def test_each_fold_of_a_run_knows_the_codes_of_its_own_training_patients(small, tmp_path):
    """Through the run's own door: from files to what the model is called with."""
    (tmp_path / "stays.csv").write_text("stay,age,ill\n" + "\n".join(f"s{k},{40 + k % 9},{k % 2}" for k in range(40)))
    rows = [f"s{k},{10 * k % 70},own {k},{k}" for k in range(40)] + [f"s{k},5,shared,{k % 3}" for k in range(40)]
    (tmp_path / "events.csv").write_text("\n".join(["stay,minute,name,value", *rows]))
    origin = Events(
        stays=Table(path=str(tmp_path / "stays.csv"), target="ill", id="stay", numeric=("age",)),
        tables=(EventTable(str(tmp_path / "events.csv"), ("name",), "minute", "value"),),
        until=2.0,
        length=3,
    )
    given = dataclasses.replace(
        small,
        data=Data(name="events", origin=origin, inputs=("code", "number", "hours", "table"), splits=Folds(count=2)),
        task=dataclasses.replace(small.task, positive="1"),
        model=EventGRU(width=2),
        standardise=("number", "table"),
    )
    work = job.build(given)
    names = ("", "unknown", *work.dataset.codes)
    assert work.experiment.model.codes == len(names) == 43
    assert config.encode(config.decode(config.encode(work.experiment))) == config.encode(work.experiment)
    for row, model in enumerate(work.replicates):
        held = {int(work.dataset.index.id[work.partition.development[case]][1:]) for case in model.held_out}
        known = work.fitted["code"]["known"][row]
        assert {name for name, there in zip(names, known, strict=True) if there} == {
            "", "unknown", "shared", *(f"own {k}" for k in range(40) if k not in held)
        }  # fmt: skip
        fitted = jax.tree.map(lambda leaf, row=row: leaf[row], work.fitted)
        batch = {key: jnp.asarray(values[model.held_out]) for key, values in work.arrays.items()}
        code, number, *_ = model_inputs(work.experiment, fitted, batch)
        assert set(np.unique(code).tolist()) == {0, UNKNOWN, names.index("shared")}
        assert jnp.issubdtype(code.dtype, jnp.integer)
        np.testing.assert_array_equal(number[code == UNKNOWN], 0)
    with pytest.raises(InputError, match="Perceptron has no `codes` to embed"):
        job.build(dataclasses.replace(given, model=small.model))
