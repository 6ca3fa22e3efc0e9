from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from medjax.training import speed


def test_the_median_leaves_out_pauses_and_the_time_before_the_first_step(monkeypatch):
    times = iter([100.0, 101.0, 103.0, 500.0, 502.0, 900.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(times))
    watch = speed.Stopwatch()
    assert watch.seconds() is None
    watch.tick(0)
    watch.tick(10)  # .1 s a step
    watch.tick(20)  # .2 s
    watch.pause()  # a validation
    watch.tick(30)
    watch.tick(40)  # .2 s
    watch.tick(0)  # another wave
    assert watch.seconds() == pytest.approx(0.2)


def test_operations_are_counted_as_by_hand():
    step = jax.jit(lambda a, b: a @ b)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 16), (16, 32))]
    assert speed.operations(step, shapes) == 2 * 8 * 16 * 32


def test_the_share_of_peak_counts_every_device_and_is_left_out_where_unknown():
    devices = [SimpleNamespace(device_kind="NVIDIA H100 80GB HBM3")] * 2
    found = speed.summary(0.5, 64, 989e12, devices, "bfloat16", None)
    assert found == {
        "step_seconds": 0.5, "flops_per_step": 989e12, "cases_per_second": 128.0, "flops_per_second": 2 * 989e12,
        "share_of_peak": 1.0,
    }  # fmt: skip
    unknown = speed.summary(0.5, 64, 1e9, [SimpleNamespace(device_kind="cpu")], "float32", 7.5)
    assert "share_of_peak" not in unknown
    assert unknown["energy_joules"] == 7.5
    assert speed.summary(None, 64, None, devices, "float32", None) == {}
    assert speed.peak("NVIDIA H100 PCIe", "float32") == 378e12
    assert speed.peak("NVIDIA H100 PCIe", "float64") is None


def test_energy_is_that_of_the_processor_where_it_may_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "RAPL", tmp_path)
    assert speed.energy() is None
    for number, microjoules in enumerate((1_500_000, 500_000)):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}/energy_uj").write_text(f"{microjoules}\n")
    assert speed.energy() == 2.0
    (tmp_path / "intel-rapl:0/energy_uj").write_text("")
    assert speed.energy() is None
