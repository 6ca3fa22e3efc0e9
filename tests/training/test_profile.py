import jax
import jax.numpy as jnp

from medjax.training.profile import Profiler, origins, top_costs


def test_a_trace_names_the_dearest_operation_and_where_it_comes_from(tmp_path):
    @jax.jit
    def step(x):
        with jax.named_scope("dear"):
            y = jnp.sort(x, axis=0)  # a hundred times as long as the rest, also where other work disturbs
        return jnp.cos(y)

    x = jax.random.normal(jax.random.key(0), (700, 700))
    profiler = Profiler(tmp_path / "profile", total=9)
    for number in range(9):
        profiler.before(number, x)
        x = step(x)
    profiler.close()
    assert profiler.steps == 4  # the last half of a short run
    head, dearest, *_ = top_costs(profiler.folder, step.lower(x).compile().as_text(), profiler.steps)
    assert head.startswith("top costs of 4 steps")
    assert "dear/jit(sort)/sort" in dearest


def test_a_run_that_ends_while_it_is_traced_leaves_no_trace_open(tmp_path):
    profiler = Profiler(tmp_path / "profile", total=100)
    profiler.before(10, jnp.ones(()))
    profiler.close()
    profiler.close()
    with jax.profiler.trace(str(tmp_path / "other")):  # raises where another one is on
        pass


def test_origins_leave_out_what_every_operation_has():
    text = (
        '  %dot.1 = f32[4]{0} dot(%a, %b), metadata={op_name="jit(single)/jvp(UNet)/dot_general"}\n'
        '  ROOT add = f32[] add(%c), metadata={op_name="jit(train)/add" x=1}\n'
    )
    assert origins(text) == {"dot.1": "jvp(UNet)/dot_general", "add": "add"}
