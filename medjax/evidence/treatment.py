"""Treatment choice: what a rule "treat these, not those" would be worth, from patients who chose or drew their treatment.

The value of a rule is the mean time free of the event up to `until` (restricted mean) if everybody were treated by it.
Two estimates: by inverse probability, from those who happened to be treated as the rule says, each standing for 1 /
(chance of that treatment) patients; and doubly robust, which adds a model's prediction for everybody and corrects it by
those. Censored cases are stood for by inverse probability of censoring, estimated within each treatment. Both need that
the inputs explain who was treated (no unmeasured confounding), which no calculation can show. Sources: Zhang, Tsiatis,
Laber & Davidian, Biometrics 68:1010 (2012); Robins, Rotnitzky & Zhao, JASA 89:846 (1994); for restricted means Zhao et
al., Biometrika 102:151 (2015).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from medjax.evidence import resampling
from medjax.evidence.intervals import Cases, Interval, Patients
from medjax.evidence.kaplan_meier import log_rank
from medjax.evidence.measures import entry
from medjax.metrics.classification import ratio
from medjax.metrics.survival import censoring_survival, kaplan_meier, restricted_mean

RARE = 0.05  # a chance of the treatment received below which a patient stands for more than 20
FOLDS = 5
SELF_FULFILLING = (
    "that those who were treated as recommended did better shows little: 'treat everybody' scores on this statistic too "
    "where the treatment works"
)


@dataclass(frozen=True)
class Trial:
    """Patients with the treatment that they got.

    Attributes:
        time: until the event or the end of observation.
        event: whether it ended with the event.
        treated: whether they were treated.
        chance: of having been treated, by their inputs.
        spared: predicted restricted mean without (first column) and with the treatment.
        patient: codes.
        until: up to which time the restricted mean counts.
    """

    time: Float[np.ndarray, " cases"]
    event: Bool[np.ndarray, " cases"]
    treated: Bool[np.ndarray, " cases"]
    chance: Float[np.ndarray, " cases"]
    spared: Float[np.ndarray, "cases 2"]
    patient: Int[np.ndarray, " cases"]
    until: float


def chances(
    inputs: Float[np.ndarray, "cases columns"], treated: Bool[np.ndarray, " cases"], patient: Patients
) -> Cases:
    """The chance of being treated by the other inputs: logistic regression, cross-fitted in five parts by patient.

    Standardised, mean-imputed inputs; L2 with factor 1. Each patient is predicted by a fit that did not see that patient.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    part, found = patient % FOLDS, np.full(len(treated), np.nan)
    for number in np.unique(part):
        out = part == number
        learnt = treated[~out]
        if learnt.all() or not learnt.any():
            found[out] = learnt.mean()
            continue
        model = make_pipeline(
            SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=10_000)
        )
        found[out] = model.fit(inputs[~out], learnt).predict_proba(inputs[out])[:, 1]
    return found


def value(trial: Trial, rule: Bool[np.ndarray, " cases"], method: str) -> Callable[..., np.ndarray]:
    """The value of a rule as a function of case weights (..., cases), or None; `method` is "inverse" or "doubly_robust"."""
    follows = trial.treated == rule
    chance = np.where(rule, trial.chance, 1 - trial.chance)
    factor = follows / np.maximum(chance, 1e-6)
    predicted = np.where(rule, trial.spared[:, 1], trial.spared[:, 0])
    received = np.where(trial.treated, trial.spared[:, 1], trial.spared[:, 0])
    seen = np.minimum(trial.time, trial.until)

    def of(weights: np.ndarray | None) -> np.ndarray:
        weights = np.ones(len(rule)) if weights is None else np.asarray(weights, np.float64)
        standing = factor * _standing(trial, weights)
        if method == "inverse":  # divided by its own weights (Hajek), so that it stays within 0 and `until`
            return ratio((weights * standing * seen).sum(-1), (weights * standing).sum(-1))
        return ratio((weights * (predicted + standing * (seen - received))).sum(-1), weights.sum(-1))

    return of


def _standing(trial: Trial, weights: Float[np.ndarray, "*resamples cases"]) -> Float[np.ndarray, "*resamples cases"]:
    """How many cases of its arm one that was watched until the event or `until` stands for; 0 for those censored before."""
    ended, found = np.minimum(trial.time, trial.until), np.zeros(weights.shape)
    watched = trial.event | (trial.time >= trial.until)
    for arm in (True, False):
        own = trial.treated == arm
        # The chance just before that time: whoever is censored at or after `until` was watched long enough.
        remaining = censoring_survival(trial.time, trial.event, weights * own).at(ended, before=True)
        found = np.where(own & watched & (remaining > 0), 1 / np.where(remaining > 0, remaining, 1.0), found)
    return found


def policy(trial: Trial, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> dict:
    """The value of "treat whoever is predicted to gain" against treating everybody and nobody, as JSON.

    The chance of treatment and the rule are held fixed; the weights of censored cases are estimated again whenever patients
    are left out or drawn.
    """
    rule = trial.spared[:, 1] > trial.spared[:, 0]
    everybody, nobody = np.ones_like(rule), np.zeros_like(rule)
    rules = {"recommended": rule, "treat_all": everybody, "treat_none": nobody}
    drawn = {"level": level, "resamples": resamples, "seed": seed}
    cases, patients = len(rule), int(trial.patient.max()) + 1

    def told(metric: Callable) -> dict:
        return entry(resampling.smooth(metric, trial.patient, scale="plain", **drawn), cases, patients)

    result: dict = {
        "until": trial.until,
        "cases": cases,
        "treated": int(trial.treated.sum()),
        "recommended": int(rule.sum()),
        "followed": int((rule == trial.treated).sum()),
        "chance": {"lowest": float(trial.chance.min()), "highest": float(trial.chance.max())},
        "rare": int((np.where(trial.treated, trial.chance, 1 - trial.chance) < RARE).sum()),
    }
    for method in ("doubly_robust", "inverse"):
        values = {name: value(trial, one, method) for name, one in rules.items()}
        result[method] = {name: told(one) for name, one in values.items()}
        for other in ("treat_all", "treat_none"):
            same = bool(np.array_equal(rule, rules[other]))
            ours, theirs = values["recommended"], values[other]
            difference = told(lambda weights, a=ours, b=theirs: a(weights) - b(weights))
            result[method][f"over_{other}"] = difference | (
                {"reason": "the rule is the same for everybody"} if same else {}
            )
    result["as_recommended"] = {name: _as_recommended(trial, one, drawn) for name, one in rules.items()}
    result["warning"] = SELF_FULFILLING
    return result


def _as_recommended(trial: Trial, rule: Bool[np.ndarray, " cases"], drawn: dict) -> dict:
    """The statistic of the DeepSurv paper: those treated as the rule says against the others (Katzman et al. 2018).

    Restricted means by Kaplan-Meier, their difference and the log-rank test; neither is corrected for who was treated.
    """
    follows = trial.treated == rule
    if follows.all() or not follows.any():
        return {"followed": int(follows.sum()), "reason": "everybody or nobody was treated as the rule says"}

    def mean(weights: np.ndarray) -> np.ndarray:
        return restricted_mean(kaplan_meier(trial.time, trial.event, weights), trial.until)

    def gap(weights: np.ndarray | None) -> np.ndarray:
        weights = np.ones(len(rule)) if weights is None else weights
        return np.asarray(mean(weights * follows) - mean(weights * ~follows))

    found: Interval = resampling.smooth(gap, trial.patient, scale="plain", **drawn)
    statistic, _, p_value = log_rank(trial.time, trial.event, follows.astype(np.int64))
    one = np.ones(len(rule))
    return {
        "followed": int(follows.sum()),
        "mean_followed": float(mean(one * follows)),
        "mean_others": float(mean(one * ~follows)),
        "difference": entry(found, len(rule), int(trial.patient.max()) + 1),
        "log_rank": {"statistic": statistic, "p_value": p_value},
    }
