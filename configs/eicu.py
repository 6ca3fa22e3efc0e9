"""eICU demo: how long a stay in intensive care lasts, from what is recorded in its first twelve hours (100 patients, real).

    uv run train.py --config configs/eicu.py

A plumbing test of relational tables and irregular times; 100 patients allow no claim of accuracy.

Lab-book
    command   uv run train.py --config configs/eicu.py
    time      162 s on two CPU cores that much other work shared (load 17), from the command to the table
    score     5 folds x 2 seeds, out-of-fold, 149 stays of 96 patients: Spearman .142 (-.029 to .304), R2 -.031 (-.091 to
              .027): nothing is shown to be learnt, and nothing was promised
    left out  25 of 174 stays had ended by hour 12 and are no cases; 26,062 of 44,560 rows of events lie behind hour 12
              and were not read
    commit    2b9d16c
"""

from functools import partial

import optax

from medjax.data.origins import Events, EventTable, Table
from medjax.data.split import Folds
from medjax.errors import InputError
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import EventGRU, EventTransformer
from medjax.tasks import Regression
from medjax.training.schedule import cosine

# Johnson et al., eICU-CRD Demo 2.0.1, PhysioNet (2021). Offsets are minutes from admission to the unit. Columns of the
# stay that are known only at its end (discharge, status, weight) are no inputs, nor is whether a diagnosis was still
# active at discharge. A laboratory value counts from when its last revision was entered.
FOLDER = "tabular/eicu_demo_100/"
ORIGIN = Events(
    stays=Table(
        path=FOLDER + "patient.csv.gz",
        target="unitdischargeoffset",
        kind="value",
        id="patientunitstayid",
        group="uniquepid",
        numeric=("age", "admissionheight", "admissionweight"),
        categorical=(
            ("gender", ("Female", "Male")),
            ("ethnicity", ("African American", "Asian", "Caucasian", "Hispanic", "Other/Unknown")),
            ("unitstaytype", ("admit", "readmit", "transfer", "stepdown/other")),
        ),
        codes=(("age", (("> 89", "90"),)),),
        unknown="code",
    ),
    tables=(
        EventTable(FOLDER + "patient.csv.gz", code=("apacheadmissiondx",), prefix="reason: "),
        EventTable(FOLDER + "hospital.csv.gz", code=("region",), key="hospitalid", prefix="region: "),
        EventTable(FOLDER + "admissionDx.csv.gz", code=("admitdxpath",), time="admitdxenteredoffset"),
        EventTable(
            FOLDER + "diagnosis.csv.gz", code=("diagnosisstring",), time="diagnosisoffset", prefix="diagnosis: "
        ),
        EventTable(
            FOLDER + "treatment.csv.gz", code=("treatmentstring",), time="treatmentoffset", prefix="treatment: "
        ),
        EventTable(
            FOLDER + "lab.csv.gz",
            code=("labname",),
            time="labresultoffset",
            value="labresult",
            known="labresultrevisedoffset",
            prefix="lab: ",
        ),
        EventTable(
            FOLDER + "physicalExam.csv.gz", code=("physicalexampath", "physicalexamvalue"), time="physicalexamoffset"
        ),
        EventTable(
            FOLDER + "medication.csv.gz",
            code=("drugname",),
            time="drugstartoffset",
            known="drugorderoffset",
            prefix="drug: ",
        ),
    ),
    until=12.0,
    end="unitdischargeoffset",
    length=192,
)
NETWORKS = {
    "gru": EventGRU(width=32, dropout=0.2),
    "transformer": EventTransformer(depth=1, width=32, heads=4, dropout=0.2),
}


def experiment(network: str = "gru") -> Experiment:
    """Return the experiment with one of the two models."""
    if network not in NETWORKS:
        raise InputError(f"network is '{network}'; use one of {', '.join(NETWORKS)}")
    return Experiment(
        name="eicu",
        data=Data(name="eicu", origin=ORIGIN, inputs=("code", "number", "hours", "table"), splits=Folds(count=5)),
        task=Regression(unit="minutes"),
        model=NETWORKS[network],
        standardise=("number", "table"),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.01),
            learning_rate=3e-3,
            schedule=partial(cosine, warmup=0.1),
            clip=1.0,
        ),
        training=Training(duration=Duration(epochs=20), batch_size=16),
        replicates=Replicates(seeds=2),
        evaluation=Evaluation(primary="spearman"),
    )
