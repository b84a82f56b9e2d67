import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.training.averages import ema
from genjax.training.state import init_state
from genjax.training.step import make_step


def test_init_state_starts_average_at_params(problem):
  state = init_state(problem.params, problem.tx, ['ema', 'slow'])
  chex.assert_trees_all_equal(
      state.averages['ema'], state.averages['slow'], state.params,
      problem.params)
  for count in (state.step, state.skipped):
    assert count == 0 and count.dtype == jnp.int32


def test_init_state_can_be_donated_and_params_live_on():
  params = {'w': jnp.arange(4.0)}
  step = jax.jit(
      make_step(lambda p, key, batch, context: (
          jnp.sum((p['w'] - context.frozen['w']) ** 2), {}),
                optax.sgd(0.1), averages={'ema': ema(0.5)}), donate_argnums=0)
  state = init_state(params, optax.sgd(0.1), ['ema'], frozen=params)
  # A buffer twice in a donated argument is an error.
  step(state, jax.random.key(0), {'index': jnp.arange(2)})
  assert state.params['w'].is_deleted()
  np.testing.assert_array_equal(params['w'], np.arange(4.0))
