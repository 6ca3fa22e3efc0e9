"""study.toml: what no run can know (intended use, eligibility, reference standard, setting, ...), said by its authors."""

import difflib
import tomllib
from pathlib import Path

from medjax.errors import InputError

# What each key holds; the words stand in the report and the checklists where the key is not given.
KEYS = {
    "title": "a title that names the kind of study, the target population and what is predicted",
    "abstract": "a structured abstract",
    "background": "the healthcare context, and models that exist already",
    "intended_use": "what the model is for, and where in the care pathway",
    "intended_users": "who would use it",
    "target_population": "the patients it is meant for",
    "inequalities": "known health inequalities between groups in this context",
    "objectives": "the aims and hypotheses of the study",
    "design": "whether data were collected prospectively or retrospectively, and the goal of the study",
    "data_source": "where the data come from, why these, and how representative they are",
    "data_dates": "start and end of accrual, and of follow-up",
    "setting": "the setting of care, number and location of the centres",
    "eligibility": "who was included and who was excluded",
    "treatments": "treatments that were received, and how they were handled",
    "data_quality": "how the quality of the data was checked, and whether alike across groups",
    "deidentification": "how the data were de-identified",
    "acquisition": "how the images or signals were acquired (devices, protocols)",
    "outcome": "what is predicted, when and how it was assessed, and over which horizon",
    "reference_standard": "how the truth of each case was established",
    "reference_standard_rationale": "why this reference standard was chosen",
    "annotators": "who assessed the outcome or annotated the cases, and how they were qualified",
    "annotation_tools": "how annotations were made, those of the test set in particular",
    "rater_variability": "agreement within and between annotators",
    "outcome_blinding": "whether the outcome was assessed blind to the predictors",
    "predictors": "what the inputs mean, when and how they were measured, and how they were chosen",
    "predictor_assessors": "who assessed inputs that need judgement",
    "sample_size": "how the number of patients was arrived at",
    "missing_data": "why values are missing, and why data were left out",
    "model_rationale": "why this kind of model",
    "fairness": "what was done about fairness, and why",
    "differences": "how the evaluation data differ from the training data in setting, eligibility, outcome or inputs",
    "heterogeneity": "how differences between centres were looked at",
    "robustness": "robustness or sensitivity analyses",
    "explainability": "how the model's reasons were examined",
    "failure_analysis": "what was learnt from the wrong predictions",
    "ethics": "the ethics committee and its approval, consent or its waiver",
    "funding": "who paid, and what part they had in the study",
    "conflicts_of_interest": "conflicts of interest",
    "protocol": "where the protocol can be read",
    "registration": "where the study was registered",
    "data_availability": "whether and how others can get the data",
    "code_availability": "whether and how others can get code and model",
    "patient_involvement": "how patients and the public were involved",
    "interpretation": "what the results mean beside earlier studies, fairness included",
    "limitations": "limitations of the study",
    "input_quality": "what happens in use when inputs are poor or missing",
    "user_interaction": "what users must do, and what expertise they need",
    "implications": "implications for practice",
    "next_steps": "what should be studied next",
    "out_of_scope": "uses that the model is not meant for",
    "licence": "the licence of the model",
    "contact": "whom to ask",
}

Study = dict[str, str]


def read(path: Path | None) -> Study:
    """Read study.toml: keys of `KEYS`, each a text or a list of texts; None: nothing was said.

    Raises:
        InputError: it cannot be read, a key is unknown (the nearest is named), or a value is no text.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the path of your study.toml") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f'{path}: not TOML ({error}); a line looks like setting = "two hospitals"') from None
    study = {}
    for key, value in content.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1, 0.0)
            raise InputError(f"{path}: unknown key '{key}'; the nearest is '{near[0]}'")
        parts = value if isinstance(value, list) else [value]
        if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
            raise InputError(
                f"{path}: '{key}' must be a text or a list of texts; leave it out if there is nothing to say"
            )
        study[key] = "; ".join(" ".join(part.split()) for part in parts)
    return study
