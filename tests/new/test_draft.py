"""The text of an experiment file is Python that gives back what was put in."""

import ast

import pytest

from medjax.data.origins import Table
from medjax.new import draft


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        'with "double"',
        "it's",
        "tab\tand \\",
        ("a",),
        (),
        ("a", ("b", 1.5), None),
        tuple(f"c{k}" for k in range(60)),
    ],
)
def test_values_read_back_as_themselves(value):
    assert ast.literal_eval(draft.values(value)) == value


def test_a_dataclass_becomes_a_call_with_what_differs():
    origin = Table(path="x.csv", target="y", numeric=("a",), categorical=(("b", ("0", "1")),))
    text = draft.changed(origin, {"numeric": "a reason"})
    call = ast.parse(text, mode="eval").body
    assert call.func.id == "Table"
    assert Table(**{setting.arg: ast.literal_eval(setting.value) for setting in call.keywords}) == origin
    assert "# a reason" in text
    assert "on_error" not in text


def test_long_reasons_are_wrapped_and_the_docstring_cannot_be_ended_from_within():
    one = draft.Draft("n", 'a """ title"', ("book",), ("import os",), (draft.Choice("name", '"n"', "word " * 60),), ())
    text = draft.render(one, "configs/n.py")
    assert max(map(len, text.splitlines())) <= draft.WIDTH
    tree = ast.parse(text)
    assert "a ''' title" in ast.get_docstring(tree)
