"""What would compile the step of a training again is refused."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training.checkpoint import Checkpointer
from genjax.training.loop import fit
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step


@pytest.fixture(name='compiled', scope='module')
def _compiled(problem):
  return compile_step(
      make_step(problem.loss_fn, problem.tx, averages=problem.averages),
      make_mesh(1))


@pytest.fixture(name='start', scope='module')
def _start(problem):
  return init_state(problem.params, problem.tx, ['ema'])


@pytest.mark.parametrize('odd, said', [
    ({'x': np.zeros((8, 16), np.float32)},
     r"\['x'\] of a batch must be float32 \(16, 16\) .* got float32 \(8, 16\)"),
    ({'x': np.zeros((16, 16), np.float16)}, 'got float16'),
    ({'more': np.zeros(16)}, r"\['more'\] .* must be absent .* got float64"),
])
def test_a_batch_unlike_the_first_is_refused(
    problem, compiled, start, tmp_path, odd, said):
  """What was trained before it is saved."""
  def batches_from(step):
    for number, batch in enumerate(problem.batches_from(step), step + 1):
      yield {**batch, **odd} if number == 3 else batch

  with contextlib.closing(Checkpointer(str(tmp_path))) as checkpointer:
    with pytest.raises(ValueError, match=f'^fit: .*{said}'):
      fit(compiled, start, problem.key, batches_from, num_steps=5,
          checkpointer=checkpointer)
    assert checkpointer.steps() == [2]


@pytest.mark.parametrize('change', [
    lambda x: jnp.asarray(x, jnp.bfloat16) if x.ndim else x,
    lambda x: jax.device_put(x, jax.devices()[1])])
def test_a_step_that_returns_another_layout_is_refused(
    problem, compiled, start, change):
  """The second step would be given it."""
  def step(*args):
    state, metrics = compiled.step(*args)
    return jax.tree.map(change, state), metrics

  with pytest.raises(ValueError, match='of the state must be .* first step'):
    fit(compiled._replace(step=step), start, problem.key, problem.batches_from,
        num_steps=2)
