"""The model card: what the model is, for whom, how it was judged, and what it is not for.

Headings after Mitchell et al., Model Cards for Model Reporting, FAT* (2019).
"""

import re
from typing import Any

from medjax.report.page.statements import Statements
from medjax.report.page.study import KEYS, Study
from medjax.report.page.wording import UNKNOWN

# Heading, topics that the run answers, keys of study.toml.
_PARTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Model", ("identity", "model", "training", "selection", "ensemble", "software"), ("licence", "contact", "code_availability")),
    ("Intended use", (), ("intended_use", "intended_users", "target_population", "out_of_scope")),
    ("Factors", ("subgroups",), ("setting", "acquisition", "inequalities", "fairness")),
    ("Inputs and output", ("inputs", "preprocessing", "output", "threshold"), ("predictors", "outcome", "input_quality")),
    ("Training and evaluation data", ("data", "split", "disjoint", "excluded", "missing", "audit"),
     ("data_source", "data_dates", "eligibility", "reference_standard")),
    ("Evaluation", ("internal", "external", "metrics", "uncertainty", "plan"), ("differences",)),
    ("Ethical considerations", (), ("ethics", "patient_involvement", "deidentification")),
    ("Caveats", ("imbalance",), ("limitations", "user_interaction", "next_steps")),
)  # fmt: skip


def escape(text: Any) -> str:
    """User text in Markdown: no HTML, no tables, links or emphasis of its own, on one line."""
    flat = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", flat)


def not_reported(key: str) -> str:
    """The visible gap of a key of study.toml."""
    return f"**{UNKNOWN}**: {KEYS[key]} (study.toml: `{key}`)"


def markdown(content: dict[str, Any], facts: Statements, study: Study) -> str:
    """The card as Markdown.

    Args:
        content: of the page.
        facts: statements of the run by topic.
        study: what the authors say.
    """
    lines = [f"# Model card: {escape(content['title'])}", "", escape(" ".join(content["summary"])), ""]
    lines += [escape(content["not_shown"]), ""]
    for heading, topics, keys in _PARTS:
        lines += [f"## {heading}", ""]
        lines += [f"- {escape(facts[topic])}" for topic in topics if topic in facts]
        lines += [f"- {key.replace('_', ' ')}: {escape(study[key])}" if key in study else f"- {not_reported(key)}"
                  for key in keys]  # fmt: skip
        lines.append("")
        if heading == "Evaluation":
            lines += [*_results(content["results"]), ""]
            lines += [f"- Warning: {escape(one)}" for one in content["warnings"]] + [""] * bool(content["warnings"])
    return "\n".join(lines).rstrip() + "\n"


def _results(found: dict[str, Any]) -> list[str]:
    columns = len(found["head"]) - 2  # single seeds and notes stand in the page
    rows = [found["head"], ["---"] * len(found["head"]), *found["rows"]]
    return [
        "| " + " | ".join(cell if set(cell) == {"-"} else escape(cell) for cell in row[:columns]) + " |" for row in rows
    ]
