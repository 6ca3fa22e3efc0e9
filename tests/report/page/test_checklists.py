"""Checklists and model card: complete numbering, filled from the run or study.toml, gaps visible, nothing unescaped."""

import re

import pytest

from medjax.report.page import card, checklists, content
from medjax.report.page.reading import read
from medjax.report.page.statements import statements
from medjax.report.page.study import KEYS

SCRIPT = "<script>alert(1)</script>"

TRIPOD = [
    "1",
    "2",
    "3a",
    "3b",
    "3c",
    "4",
    "5a",
    "5b",
    "6a",
    "6b",
    "6c",
    "7",
    "8a",
    "8b",
    "8c",
    "9a",
    "9b",
    "9c",
    "10",
    "11",
    "12a",
    "12b",
    "12c",
    "12d",
    "12e",
    "12f",
    "12g",
    "13",
    "14",
    "15",
    "16",
    "17",
    "18a",
    "18b",
    "18c",
    "18d",
    "18e",
    "18f",
    "19",
    "20a",
    "20b",
    "20c",
    "21",
    "22",
    "23a",
    "23b",
    "24",
    "25",
    "26",
    "27a",
    "27b",
    "27c",
]


@pytest.fixture
def facts(binary):
    return statements(read(binary))


def test_items_are_numbered_as_the_guidelines_number_them():
    numbers = {name: [item["number"] for item in checklists.items(name)["items"]] for name in checklists.NAMES}
    assert numbers["tripod_ai"] == TRIPOD
    assert numbers["claim"] == [str(k) for k in range(1, 45)]


def test_every_item_names_topics_and_keys_that_exist(facts, binary, tmp_path, predictions, write_run):
    topics = set(facts) | {"recalibration", "subgroups"}
    topics |= set(statements(read(write_run(tmp_path / "x", {"external_x": predictions()}))))
    used = set()
    for name in checklists.NAMES:
        for item in checklists.items(name)["items"]:
            assert set(item.get("run", [])) <= topics, item
            assert set(item.get("study", [])) <= set(KEYS), item
            assert item.get("run") or item.get("study")
            used |= set(item.get("study", []))
    used |= {key for _, _, keys in card._PARTS for key in keys}
    assert used == set(KEYS)  # whatever an author says is shown somewhere
    assert {topic for _, some, _ in card._PARTS for topic in some} <= topics


def test_gaps_are_visible_and_filled_items_are_counted(facts):
    item = {"run": ["split"], "study": ["setting"]}
    assert checklists.state(item, facts, {}) == "partly"
    assert checklists.state(item, facts, {"setting": "one hospital"}) == "filled"
    assert checklists.state({"study": ["setting"]}, facts, {}) == "not reported"
    assert checklists.state({"run": ["recalibration"]}, facts, {}) == "not reported"
    empty = checklists.markdown("tripod_ai", "t", facts, {})
    assert f"**not reported**: {KEYS['setting']} (study.toml: `setting`)" in empty
    assert (
        "**24. Results of any updating** (not reported)\n\n- **not reported**: the evaluation holds no recalibration"
        in empty
    )
    full = checklists.markdown("tripod_ai", "t", facts, dict.fromkeys(KEYS, "said so"))
    counts = [[int(n) for n in re.search(r": (\d+) filled, (\d+) partly, (\d+) not reported, of 52", text).groups()]
              for text in (empty, full)]  # fmt: skip
    assert [sum(one) for one in counts] == [52, 52]
    assert counts[0][2] >= 20
    assert counts[1] == [50, 0, 2]  # 12f and 24: no recalibration in this run


def test_statements_come_from_the_run_and_are_absent_where_it_does_not_know(binary):
    run = read(binary)
    facts = statements(run)
    assert "train 100, validation 60, test 60" in facts["split"]
    assert facts["excluded"] == "2 cases left out: 2 cut short."
    assert facts["missing"].startswith("4 development cases with a missing input value")
    assert "chosen on validation cases (youden)" in facts["threshold"]
    assert "1 groups across train+test" in facts["audit"]
    assert "sensitivity" in facts["accuracy"]
    bare = read(binary)
    for key in ("data", "audit", "replicates", "plan_hash", "devices", "versions", "seed"):
        bare.record.pop(key)
    known = statements(bare)
    assert not {"excluded", "missing", "plan", "compute", "software", "initialisation", "size", "audit"} & set(known)
    assert "None" not in " ".join(known[key] for key in ("split", "disjoint") if key in known)


def test_user_text_cannot_become_html_or_markdown(hostile, undrawn):
    run = read(hostile)
    facts, study = statements(run), {"setting": "<img src=x onerror=alert(1)> | [a](http://b) `c`"}
    texts = [checklists.markdown(name, SCRIPT, facts, study) for name in checklists.NAMES]
    texts.append(card.markdown(content.build(run, study), facts, study))
    for text in texts:
        assert "<script" not in text
        assert "<img" not in text
        assert "[a](" not in text
        assert "&lt;" in text
    (head,) = (line for line in texts[2].splitlines() if line.startswith("| metric"))
    rows = [line for line in texts[2].splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    assert {len(re.split(r"(?<!\\)\|", line)) for line in rows} == {len(re.split(r"(?<!\\)\|", head))}


def test_the_card_keeps_its_headings_and_says_what_is_not_shown(binary, undrawn):
    run = read(binary)
    text = card.markdown(content.build(run, {}), statements(run), {"intended_use": "triage"})
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [name for name, _, _ in card._PARTS]
    assert "- intended use: triage" in text
    assert f"- {card.not_reported('ethics')}" in text
    assert "Not shown: how the model does at other hospitals" in text
