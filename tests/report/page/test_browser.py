"""The page in a real browser: the slider moves the numbers to those computed here, and the console stays free of errors.

Chromium is driven by its own driver over the WebDriver protocol; run by hand with -m slow.
"""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from medjax.evidence import decision, intervals
from medjax.evidence.predictions import ensemble
from medjax.report import page
from medjax.report.page.reading import read

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--window-size=1280,1000",
]  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and its driver are not installed"),
]
RIGHT = "\ue014"  # the arrow key


class Session:
    """A browser window; every call is one request of the protocol."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}/session"
        options = {"args": OPTIONS, "binary": BROWSER}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        found = self.call("", {"capabilities": {"alwaysMatch": wanted}})
        self.root += f"/{found['sessionId']}"

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, address):
        self.call("/url", {"url": address})

    def run(self, script, *arguments):
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def press(self, name, keys):
        (found,) = self.call("/element", {"using": "css selector", "value": f"#{name}"}).values()
        self.call(f"/element/{found}/value", {"text": keys})

    def console(self):
        return [entry for entry in self.call("/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]

    def close(self):
        request = urllib.request.Request(self.root, method="DELETE")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()


@pytest.fixture(scope="module")
def browser():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    session = None
    try:
        for _ in range(120):
            try:
                session = Session(port)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.5)
        assert session is not None
        yield session
        session.close()
    finally:
        driver.terminate()
        driver.wait(30)


def expected(run, threshold, prevalence):
    """What the page must show, by the functions of the evidence."""
    score, ill = ensemble(run.judged)[:, 0], run.judged.target == 0
    said, alone = score >= threshold, np.arange(len(ill))
    among = {"sensitivity": ill, "specificity": ~ill, "ppv": said, "npv": ~said, "accuracy": np.ones(len(ill), bool)}
    found = {name: intervals.proportion((said == ill)[rows], alone[rows]) for name, rows in among.items()}
    elsewhere = decision.predictive_values(said, ill, alone, prevalence)
    found |= dict(zip(("ppv-elsewhere", "npv-elsewhere"), elsewhere, strict=True))
    texts = {name: [one.estimate, one.low, one.high] for name, one in found.items()}
    counts = {name: f"{int((said == ill)[rows].sum())}/{int(rows.sum())}" for name, rows in among.items()}
    counts["true-positives"], counts["false-positives"] = str(int((said & ill).sum())), str(int((said & ~ill).sum()))
    return texts, counts


def check(browser, run, threshold, prevalence, *, bare=False):
    numbers, counts = expected(run, threshold, prevalence)
    for name, wanted in numbers.items():
        shown = browser.text(name)
        if not np.isfinite(wanted[0]):
            assert shown == "undefined: no case is said so"
            continue
        found = [float(one) for one in re.findall(r"\d*\.\d+", shown)]
        assert found == pytest.approx(wanted[:1] if bare else wanted, abs=5.01e-4), name
    for name, wanted in counts.items():
        assert browser.text(name if "-" in name else f"{name}-cases") == wanted


@pytest.fixture
def alone(tmp_path, predictions, write_run):
    """One case a patient, and a threshold that no step of the slider meets."""
    return write_run(tmp_path / "run", {"test": predictions(cases=200, effect=0.6)}, threshold=0.4321098)


def test_moving_the_slider_moves_the_numbers_to_their_values(alone, browser):
    address = f"file://{page.write(alone)[0]}"
    run = read(alone)
    browser.open(address)
    assert browser.text("frozen-mark") == "This is the frozen threshold."
    check(browser, run, 0.4321098, 0.1)
    before = browser.text("sensitivity")
    browser.press("threshold", RIGHT * 150)
    moved = float(browser.run("return document.getElementById('slider').dataset.threshold"))
    assert moved == pytest.approx(0.582, abs=0.002)
    assert browser.text("frozen-mark") == "Not the frozen threshold."
    assert browser.text("sensitivity") != before
    check(browser, run, moved, 0.1)
    browser.run("document.getElementById('prevalence').value = ''")
    browser.press("prevalence", "2.5")
    check(browser, run, moved, 0.025)
    browser.run("document.getElementById('reset').click()")
    check(browser, run, 0.4321098, 0.025)
    for threshold in (0.0, 1.0, *ensemble(run.judged)[:5, 0].tolist()):  # ends, and scores themselves: >= is said
        browser.open(f"{address}#threshold={threshold!r}&prevalence=.3")
        check(browser, run, threshold, 0.3)
    assert browser.console() == []


def test_clustered_cases_get_no_live_interval(binary, browser):
    browser.open(f"file://{page.write(binary)[0]}#threshold=.3")
    check(browser, read(binary), 0.3, 0.1, bare=True)
    assert browser.console() == []


def test_hostile_names_run_nothing_and_the_console_stays_clean(hostile, browser):
    browser.open(f"file://{page.write(hostile)[0]}")
    assert browser.console() == []
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert browser.text("histogram").count("<script>alert(1)</script>") == 1
    # The policy holds: a script that got into the page after all would not run, and the console would say so.
    browser.run("const s = document.createElement('script'); s.textContent = 'window.x = 1'; document.body.append(s)")
    assert browser.run("return window.x === undefined")
    assert any("Content Security Policy" in entry["message"] for entry in browser.console())


def test_dark_narrow_and_printed(alone, browser, tmp_path):
    browser.open(f"file://{page.write(alone)[0]}")
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(background)
    browser.call("/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia",
                                       "params": {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}})  # fmt: skip
    assert browser.run(background) != light
    line = "return getComputedStyle(document.querySelector('#figure-roc path[style*=series-1]')).stroke"
    assert browser.run(line) == "rgb(121, 184, 255)"
    browser.call("/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride",
                                       "params": {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}})  # fmt: skip
    assert browser.run("return document.documentElement.scrollWidth") <= 400  # tables scroll, the page does not
    printed = browser.call("/print", {})
    assert len(printed) > 10_000
    assert browser.console() == []
