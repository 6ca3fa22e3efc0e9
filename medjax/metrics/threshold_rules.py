"""The rules by which an operating threshold may be chosen, as an experiment names them in text."""

import math
import re
from typing import Literal, NamedTuple

from medjax.errors import InputError

KNOWN = "'youden', 'accuracy', 'sensitivity>=.95', 'specificity>=.90', 'cost 10' (a miss costs 10 false alarms)"
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_TARGET = re.compile(rf"(sensitivity|specificity)\s*>=\s*{_NUMBER}")
_COST = re.compile(rf"cost\s+{_NUMBER}(?:\s*:\s*{_NUMBER})?")


class Rule(NamedTuple):
    """What a threshold is to achieve; `value` is the target share, or what a miss costs in false alarms, else 0."""

    name: Literal["youden", "accuracy", "sensitivity", "specificity", "cost"]
    value: float = 0.0


def parse_rule(text: str) -> Rule:
    """A rule from its text; white space does not count.

    Raises:
        InputError: the text is no rule, a share does not lie between 0 and 1, or a cost is not positive.
    """
    plain = text.strip()
    if plain in ("youden", "accuracy"):
        return Rule(plain)
    if found := _TARGET.fullmatch(plain):
        name, share = found[1], float(found[2])
        if not 0.0 < share < 1.0:
            raise InputError(f"threshold: rule {text!r} must name a share between 0 and 1, such as '{name}>=.95'")
        return Rule(name, share)  # pyrefly: ignore
    if found := _COST.fullmatch(plain):
        miss, alarm = float(found[1]), float(found[2] or 1)
        if not (miss > 0 and alarm > 0 and math.isfinite(miss / alarm) and miss / alarm > 0):
            raise InputError(f"threshold: rule {text!r} must name costs above 0, such as 'cost 10' or 'cost 10:1'")
        return Rule("cost", miss / alarm)
    raise InputError(f"threshold: unknown rule {text!r}; use {KNOWN}, or a number between 0 and 1")


def valid_rule(text: str) -> None:
    """Raise InputError where a text is no rule, see `parse_rule`."""
    parse_rule(text)
