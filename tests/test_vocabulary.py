"""The vocabulary knows what training cases hold, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
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
