import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.training.state import init_state
from genjax.training.step import ema_decay_at
from genjax.training.step import make_step
from genjax.types import Mean

KEY = jax.random.key(0)


def linear_loss(params, key, batch):
  """Gradient `batch['slope']`, whatever the parameters."""
  return jnp.vdot(params, batch['slope']), {
      'noise': jax.random.normal(key),
      'part': Mean(jnp.asarray(6.0), jnp.asarray(3.0))}


def linear_step(tx, ema_decay=0.9):
  """A jitted step of `linear_loss`, and its first state."""
  return (jax.jit(make_step(linear_loss, tx, ema_decay=ema_decay)),
          init_state(jnp.array([1.0, 2.0]), tx))


def slope(*values):
  return {'slope': jnp.asarray(values, jnp.float32)}


def test_step_descends_the_gradient():
  step, state = linear_step(optax.sgd(0.5))
  state, _ = step(state, KEY, slope(3.0, 4.0))
  np.testing.assert_array_equal(state.params, [1.0 - 1.5, 2.0 - 2.0])
  assert state.step == 1 and state.skipped == 0


def test_step_metrics_are_means_before_clipping():
  step, state = linear_step(
      optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5)))
  _, metrics = step(state, KEY, slope(3.0, 4.0))
  assert metrics.keys() == {'loss', 'grad_norm', 'skipped', 'noise', 'part'}
  chex.assert_trees_all_close(
      {k: metrics[k] for k in ('loss', 'grad_norm', 'skipped', 'part')},
      {'loss': Mean(11.0, 1.0), 'grad_norm': Mean(5.0, 1.0),
       'skipped': Mean(0.0, 1.0), 'part': Mean(6.0, 3.0)})
  assert metrics['noise'].count == 1.0


@pytest.mark.parametrize('bad', [
    (np.nan, 1.0), (np.inf, 1.0), (-np.inf, np.inf),
    (1e30, 1.0),  # a finite loss, whose squared norm overflows float32
])
def test_step_skips_what_is_not_finite_and_changes_nothing_else(bad):
  step, state = linear_step(optax.adam(0.1))
  state, _ = step(state, KEY, slope(1.0, 1.0))
  after, metrics = step(state, KEY, slope(*bad))
  chex.assert_trees_all_equal(
      after, state._replace(step=jnp.int32(2), skipped=jnp.int32(1)))
  assert metrics.pop('skipped') == Mean(1.0, 1.0)
  # Weighs nothing, and is no NaN, in any mean.
  assert all(mean == Mean(0.0, 0.0) for mean in metrics.values())


def test_step_goes_on_after_a_skip():
  step, state = linear_step(optax.adam(0.1))
  batches = [slope(1.0, 2.0), slope(np.nan, 0.0), slope(-3.0, 1.0)]
  skipping = state
  for batch in batches:
    skipping, _ = step(skipping, KEY, batch)
  for batch in (batches[0], batches[2]):
    state, _ = step(state, KEY, batch)
  # The same updates and, as the ramp counts updates, the same average.
  chex.assert_trees_all_equal(
      skipping, state._replace(step=jnp.int32(3), skipped=jnp.int32(1)))


@pytest.mark.parametrize('ema_decay', [0.0, 0.5, 0.999])
def test_step_ema_is_the_closed_form_under_a_constant_gradient(ema_decay):
  step, state = linear_step(optax.sgd(0.1), ema_decay)
  num_steps = 25
  for _ in range(num_steps):
    state, _ = step(state, KEY, slope(1.0, -2.0))
  # ema_N = w_0 + sum_j (w_j - w_{j-1}) (1 - prod_{k=j}^N d_k), and every
  # increment is the same; from n = 8 on the ramp exceeds a half.
  n = np.arange(1, num_steps + 1)
  decay = np.minimum(ema_decay, (1 + n) / (10 + n))
  weight = sum(1 - np.prod(decay[j:]) for j in range(num_steps))
  expected = np.array([1.0, 2.0]) - 0.1 * weight * np.array([1.0, -2.0])
  # Some 25 roundings of float32 numbers up to 7: 25 * 7 * 6e-8.
  np.testing.assert_allclose(state.ema, expected, atol=1e-5)


def test_ema_decay_at_ramps_from_two_elevenths_to_its_limit():
  np.testing.assert_allclose(
      ema_decay_at(jnp.array([1, 8, 10 ** 6]), 0.99), [2 / 11, 0.5, 0.99],
      rtol=1e-6)


def test_step_folds_the_root_key_with_the_step():
  step, state = linear_step(optax.sgd(0.1))
  later, first = step(state, KEY, slope(1.0, 1.0))
  _, second = step(later, KEY, slope(1.0, 1.0))
  _, again = step(later, KEY, slope(1.0, 1.0))
  expected = [jax.random.normal(jax.random.fold_in(KEY, i)) for i in (0, 1)]
  assert [first['noise'].total, second['noise'].total] == expected
  assert second['noise'] == again['noise']


@pytest.mark.parametrize('metrics, message', [
    ({'loss': 1.0}, "must not be named .* got 'loss'"),
    ({'bins': jnp.zeros(3)}, "metric 'bins' must be a scalar"),
    ({'bins': Mean(jnp.zeros(3), jnp.ones(3))}, "metric 'bins' must be"),
])
def test_step_refuses_metrics_that_cannot_be_logged(metrics, message):
  step = make_step(lambda p, key, batch: (jnp.sum(p), metrics),
                   optax.sgd(0.1), ema_decay=0.9)
  with pytest.raises(ValueError, match=message):
    step(init_state(jnp.ones(2), optax.sgd(0.1)), KEY, {})


@pytest.mark.parametrize('ema_decay', [-0.1, 1.5])
def test_make_step_refuses_a_decay_out_of_range(ema_decay):
  with pytest.raises(ValueError, match='make_step: ema_decay must be in'):
    make_step(linear_loss, optax.sgd(0.1), ema_decay=ema_decay)
