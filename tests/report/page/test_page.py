"""The whole report: files, determinism, safety, structure; every kind of run; missing keys."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.report import page
from medjax.report.page import content, html, sections
from medjax.report.page.reading import read

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
VOID = {"meta", "input", "img", "br", "link", "hr", "path", "use", "rect", "line"}


class Structure(HTMLParser):
    """Checks that tags are closed in order, and collects what a screen reader would."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.links, self.ids, self.outside, self.text = [], [], set(), [], [], []
        self.images, self.scripts, self.handlers = [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.handlers += [name for name in found if name.startswith("on")]
        if tag == "a":
            self.links.add(found["href"])
        if tag == "img":
            self.images.append(found)
        if tag == "script":
            self.scripts.append(found)
        self.outside += [found[name] for name in ("src", "href", "action", "data") if name in found and tag != "a"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text):
    found = Structure()
    found.feed(text)
    assert found.open == []
    return found


def test_every_file_is_written_and_the_same_folder_gives_the_same_bytes(binary, tmp_path):
    files = page.write(binary)
    names = [str(path.relative_to(binary)) for path in files]
    assert names[:4] == ["report.html", "model_card.md", "tripod_ai.md", "claim.md"]
    figures = {"flow", "roc", "precision_recall", "reliability", "decision_curve", "training_loss"}
    assert {name for name in names[4:]} == {f"report/figures/{one}.{end}" for one in figures for end in ("svg", "csv")}
    copy = shutil.copytree(binary, tmp_path / "elsewhere" / "run")
    (copy / "report/figures/old.svg").write_text("of another split")
    for path, other in zip(files, page.write(copy), strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert not (copy / "report/figures/old.svg").exists()
    with (binary / "report/figures/roc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["1 - specificity", "sensitivity", "low", "high"]
    assert float(rows[-1]["sensitivity"]) == 1.0


def test_the_page_stands_alone_and_is_well_formed(binary):
    text = page.write(binary)[0].read_text()
    found = parsed(text)
    assert text.startswith("<!DOCTYPE html>")
    assert all(one.startswith("#") for one in found.outside)
    assert {link for link in found.links if not link.startswith("#")} == set()
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(found.headings, found.headings[1:], strict=False))
    assert found.handlers == []
    assert re.search(r"https?://", text.replace("http://www.w3.org/2000/svg", "")) is None
    assert len(text.encode()) < page.MOST_BYTES
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert "default-src 'none'" in policy
    assert "patient 1" not in text  # groups are nobody's business; ids are the data's own


def test_the_policy_lets_the_page_s_own_script_run_and_no_other(binary):
    import base64
    import hashlib

    text = page.write(binary)[0].read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text
    assert "unsafe-inline" not in re.findall(r"script-src[^;\"]*", text)[0]


def test_user_text_stays_text(hostile):
    study = hostile.parent / "study.toml"
    study.write_text("setting = '</style><script>alert(2)</script>'\ntitle = '<h1>x'\n")
    files = page.write(hostile, study=study, thumbnails=lambda ids: {ids[0]: PNG})
    text = files[0].read_text()
    found = parsed(text)
    assert len(found.scripts) == 2  # the data, and the page's own
    assert "<script>alert" not in text
    assert "<b>sex" not in text
    assert "<i>f" not in text
    assert found.headings.count(1) == 1
    shown = " ".join(" ".join(found.text).split())
    assert "<script>alert(1)</script>" in shown
    assert "$x$" in shown
    (data,) = re.findall(r'<script type="application/json" id="slider-data">(.*?)</script>', text, flags=re.S)
    assert json.loads(data)["positive"] == "<script>alert(1)</script>"
    assert len(found.images) == 1 or len(found.images) == 2  # one case may be in both tables
    assert found.images[0]["src"].startswith("data:image/png;base64,")
    assert found.images[0]["alt"].startswith("Case <script>")
    for path in files:
        if path.suffix == ".svg":
            assert "<script" not in path.read_text()


@pytest.mark.parametrize(
    ("kind", "classes", "primary", "figures"),
    [
        ("probability", ("a", "b", "c"), "auroc", {"roc", "precision_recall"}),
        ("grade", ("a", "b", "c"), "quadratic_weighted_kappa", {"roc", "precision_recall"}),
        ("labels", ("a", "b"), "auroc", {"roc", "precision_recall"}),
        ("value", (), "mean_absolute_error", {"predicted_observed", "bland_altman"}),
    ],
)
def test_every_kind_of_target_has_a_page(tmp_path, predictions, write_run, kind, classes, primary, figures):
    run = write_run(tmp_path / "run", {"validation": predictions(kind, classes, folds=0)}, primary=primary)
    files = page.write(run)
    assert {path.stem for path in files if path.suffix == ".svg"} == figures | {"flow", "training_loss"}
    text = files[0].read_text()
    parsed(text)
    assert 'id="slider"' not in text


@pytest.mark.slow
def test_a_key_of_an_older_run_may_be_missing(binary, undrawn):
    """Whatever single key the evaluation or the record lacks: a content, without a number that was not there."""
    run = read(binary)
    tried = 0
    for part in (run.evaluation, run.record, run.config, run.record["data"], run.record["audit"]):
        for key in list(part):
            value = part.pop(key)
            content.build(run, {})
            part[key] = value
            tried += 1
    assert tried > 50
    for part in (run.evaluation, run.record, run.config):
        part.clear()
    text = html.page(content.build(run, {}))
    assert text.count("not reported") > 20
    assert "None" not in text


def test_sections_appear_with_their_keys_only(binary, undrawn):
    run = read(binary)
    for key in sections.SECTIONS:
        run.evaluation.pop(key, None)
    assert content.build(run, {})["sections"] == []
    entry = {"estimate": 0.9, "low": 0.8, "high": 0.95, "level": 0.95, "method": "Wilson"}
    run.evaluation["conformal"] = {"nominal": 0.9, "coverage": entry, "sizes": list(range(50)), "none": None}
    (section,) = content.build(run, {})["sections"]
    assert section["title"] == "Conformal prediction"
    rows = dict(section["tables"][0]["rows"])
    assert rows["coverage here, patients counting equally"] == ".900 (.800 to .950)"
    run.evaluation["conformal"] = {"other": {"way": entry}, "sizes": list(range(50)), "none": None}
    made = content.build(run, {})
    rows = dict(made["sections"][0]["tables"][0]["rows"])  # of a version that is not known: shown as it is
    assert rows == {"other, way": ".900 (.800 to .950)", "sizes": "50 numbers, in the JSON", "none": "not reported"}
    assert 'id="section-conformal"' in html.page(made)


def test_subgroups_have_a_table_and_a_forest_plot(binary):
    run = read(binary)
    entry = {"estimate": 0.9, "low": 0.8, "high": 0.95, "level": 0.95, "cases": 40, "patients": 30, "method": "DeLong"}
    gap = entry | {"estimate": -0.05, "low": -0.1, "high": 0.0}
    group = {"cases": 40, "patients": 30, "prevalence": {"ill": entry}, "metrics": {"auroc": entry, "accuracy": entry}}
    site = {
        "unknown": {"cases": 5, "patients": 5},
        "groups": {"<b>": group | {"gap": gap}, "a": group | {"gap": gap, "cases": 41},
                   "c": {"cases": 9, "patients": 9, "too_few": "2 patients with ill"}},
        "worst": {"group": "<b>", "groups": 2, "metric": entry | {"low": 0.7}, "gap": gap},
    }  # fmt: skip
    run.evaluation["subgroups"] = {"primary": "auroc", "level": 0.95, "fewest": 10, "attributes": {"site": site}}
    made = content.build(run, {})
    (section,) = (one for one in made["sections"] if one["title"] == "Subgroups")
    (table,) = section["tables"]
    rows = {row[0]: dict(zip(table["head"][1:], row[1:], strict=True)) for row in table["rows"]}
    assert rows["cases"] == {"<b>": "40", "a": "41", "c": "9"}
    assert rows["AUROC"] == {
        "<b>": ".900 (.800 to .950)",
        "a": ".900 (.800 to .950)",
        "c": "too few: 2 patients with ill",
    }
    assert rows["gap to the rest"]["a"] == "-.050 (-.100 to .000)"
    assert table["notes"][0].startswith("Worst of 2 groups: <b>, AUROC .90 (.70 to .95)")
    assert table["notes"][1] == "site is unknown for 5 cases, which belong to no group."
    (figure,) = section["figures"]
    assert figure.columns["group"] == ["<b>", "a"]
    assert figure.columns["low"].tolist() == [0.8, 0.8]
    shown = html.page(made).split('aria-labelledby="section-subgroups"')[1].split("</section>")[0]
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_too_many_pictures_are_left_out_rather_than_the_page(binary, undrawn, monkeypatch):
    monkeypatch.setattr(page, "_PICTURES", 10)
    assert "data:image" not in page.write(binary, thumbnails=lambda ids: dict.fromkeys(ids, PNG))[0].read_text()
    monkeypatch.setattr(page, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        page.write(binary)


def test_accelerator_hours_and_memory_are_those_of_the_record(binary, undrawn):
    rows = dict(content.build(read(binary), {})["compute"])
    assert rows["accelerator hours"] == "0.333 (wall time x 2 devices)"
    assert rows["peak memory"] == "host 1 GiB, device 0 2 GiB"
    assert rows["energy"] == "not reported"
    assert np.isfinite(float(rows["wall time, training and evaluation"].split()[0]))


def test_the_size_of_the_next_study_is_that_of_the_evaluation(binary, undrawn):
    run = read(binary)
    (section,) = [one for one in content.build(run, {})["sections"] if one["name"] == "section-sample-size"]
    (table,) = section["tables"]
    found = run.evaluation["sample_size"]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert rows["sensitivity"][1] == f"{found['sensitivity']['patients']:,}"
    assert rows["AUROC"][2:] == [f"{found['auroc'][key]:,}" for key in ("events", "non_events")]
    assert len(table["notes"]) == len(found["assumptions"])
