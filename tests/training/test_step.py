import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.numerics import batch_mean
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.training.averages import ema
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Mean

KEY = jax.random.key(0)
EMPTY = {'index': np.arange(1)}


def linear_loss(params, key, batch, context):
  """Gradient `batch['slope']`, whatever the parameters."""
  return jnp.vdot(params, batch['slope']), {
      'noise': jax.random.normal(key),
      'part': Mean(jnp.asarray(6.0), jnp.asarray(3.0))}


def linear_step(tx, ema_decay=0.9):
  """A jitted step of `linear_loss`, and its first state."""
  return (jax.jit(make_step(linear_loss, tx, averages={'ema': ema(ema_decay)})),
          init_state(jnp.array([1.0, 2.0]), tx, ['ema']))


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
  np.testing.assert_allclose(state.averages['ema'], expected, atol=1e-5)


def test_ema_ramps_from_two_elevenths_to_its_limit():
  np.testing.assert_allclose(
      ema(0.99)(jnp.array([1, 8, 10 ** 6])), [2 / 11, 0.5, 0.99],
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
  step = make_step(lambda p, key, batch, context: (jnp.sum(p), metrics),
                   optax.sgd(0.1), averages={'ema': ema(0.9)})
  with pytest.raises(ValueError, match=message):
    step(init_state(jnp.ones(2), optax.sgd(0.1), ['ema']), KEY, EMPTY)


def _steps(tx, params, num_steps, loss_fn):
  """State, and metrics summed, after `num_steps`."""
  state = init_state(params, tx, ['ema'])
  step = make_step(loss_fn, tx, averages={'ema': ema(0.999)})

  def body(_, carry):
    state, totals = carry
    state, metrics = step(state, KEY, EMPTY)
    return state, jax.tree.map(jnp.add, totals, metrics)

  first = step(state, KEY, EMPTY)
  return jax.jit(lambda first: jax.lax.fori_loop(
      1, num_steps, body, first))(first)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float16])
def test_step_accumulates_in_float32_whatever_params_are(dtype):
  """Under a gradient of 1, averages and moments have their closed forms.

  The updates are below the resolution of params, so that these stay. Sums of
  3000 terms, each to a rounding of 6e-8, err by 2e-4 at the very most.
  """
  params = {'w': jnp.full(2, 2, dtype)}
  tx = optax.chain(optax.scale_by_adam(b2=0.999), optax.scale(-1e-6))
  state, totals = _steps(
      tx, params, 3000, lambda p, key, batch, context: (p['w'].sum(), {}))
  assert state.params['w'].dtype == dtype
  moments = state.opt_state[0]
  np.testing.assert_allclose(moments.nu['w'], 1 - .999**3000, rtol=2e-4)
  np.testing.assert_allclose(moments.mu['w'], 1, rtol=2e-4)
  for name, each in (('loss', 4.), ('grad_norm', 2**.5)):
    total = totals[name].total
    assert total.dtype == jnp.float32
    np.testing.assert_allclose(total, 3000 * each, rtol=3e-3)


def test_step_averages_bfloat16_as_float32():
  """From 1 towards 2: 2 - .999^n, where bfloat16 would stand still at 1."""
  for dtype in (jnp.float32, jnp.bfloat16):
    tx = optax.sgd(1.)
    go = make_step(lambda p, key, batch, context: (0 * p.sum(), {}), tx,
                   averages={'ema': ema(.999)})
    state = init_state(jnp.ones(1, dtype), tx, ['ema'])._replace(
        params=jnp.full(1, 2, dtype), step=jnp.int32(20000))
    state = jax.jit(lambda s: jax.lax.fori_loop(
        0, 3000, lambda _, s: go(s, KEY, EMPTY)[0], s))(state)
    np.testing.assert_allclose(state.averages['ema'], 2 - .999**3000, rtol=2e-4)


def test_step_clips_half_precision_without_overflow():
  """A gradient of norm 1000 in float16, whose squares are infinite there."""
  tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
  step = jax.jit(make_step(
      lambda p, key, batch, context: (jnp.vdot(p, batch['slope']), {}), tx,
      averages={'ema': ema(0.9)}))
  state = init_state(jnp.zeros(2, jnp.float16), tx, ['ema'])
  batch = {'slope': jnp.asarray([600., -800.], jnp.float16)}
  state, metrics = step(state, KEY, batch)
  np.testing.assert_allclose(metrics['grad_norm'].total, 1000)
  np.testing.assert_allclose(state.params, [-.6, .8], rtol=5e-4)


@pytest.mark.parametrize('ema_decay', [-0.1, 1.5])
def test_ema_refuses_a_decay_out_of_range(ema_decay):
  with pytest.raises(ValueError, match='ema: decay must be in'):
    ema(ema_decay)


def masked_loss(params, key, batch, context):
  """A mean over kept rows with noise of each example, and an empty mean."""
  del context
  noise = normal_each(fold_in_each(key, batch['index']), (3,))
  each = jnp.sum(jnp.square(jnp.tanh(batch['x'] @ params) - noise), axis=1)
  far = jnp.where(each > 2.0, batch.get('mask', 1.0), 0.0)
  return batch_mean(batch, each), {
      'noise': batch_mean(batch, noise[:, 0]),
      'far': Mean(jnp.sum(far * each), jnp.sum(far))}


@pytest.mark.parametrize('masked', [False, True])
def test_micro_batches_are_the_batch(masked):
  """To float32's rounding of sums over 16 rows, whatever the mask leaves.

  Of the four parts, rows j, j + 4, ..., one is left out whole.
  """
  random = np.random.default_rng(0)
  batch = {'x': random.normal(size=(16, 2)).astype(np.float32),
           'index': np.arange(16, dtype=np.int32), 'cond': {}}
  if masked:
    batch['mask'] = np.float32(np.arange(16) % 4 != 2) * (np.arange(16) > 3)
    batch['x'][batch['mask'] == 0] = 100.0
  tx = optax.sgd(1.0)
  start = init_state(jnp.ones((2, 3)), tx, ['ema'])

  def run(micro_batches):
    step = make_step(masked_loss, tx, averages={'ema': ema(0.5)},
                     micro_batches=micro_batches)
    return jax.jit(step)(start, KEY, batch)

  (whole, means), (parts, sums) = run(1), run(4)
  gradient = whole.params - start.params
  np.testing.assert_allclose(parts.params - start.params, gradient,
                             atol=1e-6 * np.linalg.norm(gradient))
  chex.assert_trees_all_close(sums, means, rtol=2e-6)
  # The average moves once, by the first of its decays.
  chex.assert_trees_all_close(
      parts.averages['ema'],
      start.params + 9 / 11 * (parts.params - start.params), rtol=1e-6)
  assert parts.step == 1


def test_micro_batches_in_a_scan_are_those_in_a_loop(monkeypatch):
  """As on accelerators, where one program holds one part."""
  batch = {'x': np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2),
           'index': np.arange(8, dtype=np.int32)}
  tx = optax.sgd(1.0)
  step = make_step(masked_loss, tx, averages={}, micro_batches=4)
  found = []
  for backend in ('cpu', 'gpu'):
    monkeypatch.setattr(jax, 'default_backend', lambda backend=backend: backend)
    start = init_state(jnp.ones((2, 3)), tx)
    run = jax.jit(lambda *args: step(*args)).trace(start, KEY, batch)
    assert ('scan[' in str(run.jaxpr)) == (backend == 'gpu')
    found.append(run.lower().compile()(start, KEY, batch))
  chex.assert_trees_all_close(*found, rtol=1e-6)


def test_micro_batches_must_divide_the_batch():
  step = make_step(masked_loss, optax.sgd(1.), averages={}, micro_batches=3)
  with pytest.raises(ValueError, match='must divide the batch of 4, got 3'):
    step(init_state(jnp.ones((2, 3)), optax.sgd(1.)), KEY,
         {'x': np.ones((4, 2)), 'index': np.arange(4)})
  with pytest.raises(ValueError, match='micro_batches must be positive'):
    make_step(masked_loss, optax.sgd(1.), averages={}, micro_batches=0)


def test_loss_looks_at_its_context():
  """A warm-up by the step; a frozen teacher; an average of its own params."""

  def loss_fn(params, key, batch, context):
    del key, batch
    return jnp.minimum(context.step / 4, 1.0) * jnp.sum(params), {
        'step': context.step, 'teacher': context.frozen['teacher'],
        'average': context.averages['slow']}

  tx = optax.sgd(1.0)
  step = jax.jit(make_step(loss_fn, tx, averages={'slow': lambda n: 0.75}),
                 donate_argnums=0)
  state = init_state(jnp.float32(3.), tx, ['slow'],
                     frozen={'teacher': jnp.float32(7.)})
  params, slow = 3.0, 3.0
  for number in range(6):
    state, metrics = step(state, KEY, EMPTY)
    assert metrics['step'].total == number
    assert metrics['teacher'].total == 7 and state.frozen['teacher'] == 7
    np.testing.assert_allclose(metrics['average'].total, slow, rtol=1e-6)
    params -= min(number / 4, 1)
    slow = 0.75 * slow + 0.25 * params
    np.testing.assert_allclose(state.params, params, rtol=1e-6)


def test_step_knows_its_averages():
  step = make_step(linear_loss, optax.sgd(1.), averages={'ema': ema(.5)})
  with pytest.raises(ValueError, match=r"must be \['ema'\], got \[\]"):
    step(init_state(jnp.ones(2), optax.sgd(1.)), KEY, slope(1., 1.))


def test_micro_batch_j_holds_rows_j_and_every_fourth_on():
  """So that each of the devices that share the batch keeps its own rows."""

  def loss_fn(params, key, batch, context):
    del key, context
    rows = batch['index']
    return params * jnp.sum(jnp.diff(rows)), {'first': rows[0]}

  step = make_step(loss_fn, optax.sgd(1.0), averages={}, micro_batches=4)
  _, metrics = step(init_state(jnp.ones(()), optax.sgd(1.0)), KEY,
                    {'index': jnp.arange(8)})
  assert metrics['first'].total == np.mean([0, 1, 2, 3])
  assert metrics['loss'].total == 4
