"""study.toml: known keys, texts, and messages that name the mistake."""

import pytest

from medjax.errors import InputError
from medjax.report.page.study import KEYS, read


def test_texts_and_lists_of_texts_are_read(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('setting = "two\\n  hospitals"\neligibility = ["adults", "first visit"]\n')
    assert read(path) == {"setting": "two hospitals", "eligibility": "adults; first visit"}
    assert read(None) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('eligibilty = "adults"', "unknown key 'eligibilty'; the nearest is 'eligibility'"),
        ("setting = 3", "'setting' must be a text"),
        ('setting = "  "', "'setting' must be a text"),
        ("setting = []", "'setting' must be a text"),
        ('setting = ["a", 1]', "'setting' must be a text"),
        ('[setting]\na = "b"', "'setting' must be a text"),
        ("setting = two hospitals", "not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.toml")
    (tmp_path / "study.toml").write_bytes(b"setting = \xff")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "study.toml")


def test_every_key_says_what_it_holds():
    assert all(key.isidentifier() and text and text[0].islower() for key, text in KEYS.items())
