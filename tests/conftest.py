"""Settings of all tests: shapes checked at run time, rank promotion refused, eight simulated devices."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Several tests train the same small experiments; what was compiled once is read back, also by the other processes.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# Most programs run once or twice, on a few numbers: optimising them would take longer than everything else.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# The older of XLA's two generators of code for a CPU compiles them three times as fast; a jaxlib without this flag stops
# at the first array and names it.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook("medjax", "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def medjax_data() -> Path:
    """The folder of real data; where it is absent (a newcomer's machine) the data tests skip and say so."""
    folder = os.environ.get("MEDJAX_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MEDJAX_DATA does not name a folder: the tests on real data need it")
    return Path(folder)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared data and ledgers of tests never touch the user's cache; it is shared within one test process."""
    base = tmp_path_factory.getbasetemp() / "cache"
    base.mkdir(exist_ok=True)
    monkeypatch.setenv("MEDJAX_CACHE", str(base))


@pytest.fixture
def small():
    """A small experiment on real patients: two folds, two seeds, a few steps."""
    from functools import partial

    import optax

    from medjax.data.split import Folds
    from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
    from medjax.models import Perceptron
    from medjax.tasks import Classification
    from medjax.training.schedule import cosine

    return Experiment(
        name="small",
        data=Data(name="breast_cancer_wisconsin", inputs=("table",), splits=Folds(count=2)),
        task=Classification(positive="malignant"),
        model=Perceptron(hidden=(8,)),
        standardise=("table",),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.01, schedule=partial(cosine)),
        training=Training(duration=Duration(steps=24), batch_size=16, log_every=5, save_grid=4),
        replicates=Replicates(seeds=2),
        evaluation=Evaluation(resamples=200),
    )
