"""Reporting checklists, filled from the run and from study.toml; whatever neither says stands there as not reported.

The items (numbers, sections, short words of our own) lie in tripod_ai.toml and claim.toml; the words of the guidelines
themselves are in their papers, which each file names.
"""

import tomllib
from importlib import resources
from typing import Any

from medjax.report.page.card import escape, not_reported
from medjax.report.page.statements import Statements
from medjax.report.page.study import Study
from medjax.report.page.wording import UNKNOWN

NAMES = ("tripod_ai", "claim")


def items(name: str) -> dict[str, Any]:
    """A checklist: name, reference, and items with number, section, asks, run (topics) and study (keys)."""
    return tomllib.loads((resources.files("medjax.report.page") / f"{name}.toml").read_text(encoding="utf-8"))


def state(item: dict[str, Any], facts: Statements, study: Study) -> str:
    """Whether an item is "filled", filled "partly", or "not reported"."""
    said = [topic for topic in item.get("run", []) if topic in facts] + [
        key for key in item.get("study", []) if key in study
    ]
    open_keys = [key for key in item.get("study", []) if key not in study]
    if not said:
        return UNKNOWN
    return "partly" if open_keys else "filled"


def markdown(name: str, title: str, facts: Statements, study: Study) -> str:
    """A checklist as Markdown.

    Args:
        name: of `NAMES`.
        title: of the report.
        facts: statements of the run by topic.
        study: what the authors say.
    """
    sheet = items(name)
    states = [state(item, facts, study) for item in sheet["items"]]
    counts = ", ".join(f"{states.count(one)} {one}" for one in ("filled", "partly", UNKNOWN))
    lines = [
        f"# {sheet['name']}: {escape(title)}", "",
        f"Item numbers of {sheet['reference']}; the items are in our own short words, read them there. Filled by machine "
        f"from the run folder and study.toml: {counts}, of {len(states)} items. Check every line before you submit it.", "",
    ]  # fmt: skip
    section = None
    for item, found in zip(sheet["items"], states, strict=True):
        if item["section"] != section:
            section = item["section"]
            lines += [f"## {section}", ""]
        lines += [f"**{item['number']}. {item['asks']}** ({found})", ""]
        lines += [f"- {escape(facts[topic])}" for topic in item.get("run", []) if topic in facts]
        lines += [
            f"- {escape(study[key])}" if key in study else f"- {not_reported(key)}" for key in item.get("study", [])
        ]
        if not any(topic in facts for topic in item.get("run", [])) and not item.get("study"):
            lines.append(f"- **{UNKNOWN}**: {item.get('gap', 'the run folder does not hold it')}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
