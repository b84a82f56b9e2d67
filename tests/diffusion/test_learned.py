"""A process whose schedule is learned: trained, then sampled as it came out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from genjax.types import Process
from tests import laws

_KEY = jax.random.key(0)
_STD, _DIMS = 0.7, 2


def process_of(params) -> Process:
  """Variance-preserving on [0, 1]: log-SNR from `high` down to `low`, as
  share t + (1 - share) t^2 does, all three learned (arXiv:2107.00630, 3)."""
  s = params['schedule']
  share = jax.nn.sigmoid(s['share'])

  def log_snr(t):
    return s['high'] - (s['high'] - s['low']) * (share * t + (1 - share) * t**2)

  return process.from_schedules(
      alpha=lambda t: jnp.sqrt(jax.nn.sigmoid(log_snr(t))),
      sigma=lambda t: jnp.sqrt(jax.nn.sigmoid(-log_snr(t))),
      log_snr=log_snr,
      time=lambda level: times.invert(lambda t: -log_snr(t), -level, 0., 1.),
      t_min=0.0, t_max=1.0)


def elbo(log_snr, rate):
  """On the error summed over data: arXiv:2107.00630, eq. 17, 18."""
  return 0.5 * _DIMS * jnp.exp(log_snr) * rate


def _network(variables, x, noise, cond, **_):
  """E[x_0 | x_t] of N(0, std^2), times a gain."""
  snr = jnp.exp(noise)[:, None]
  return variables['params'] * jnp.sqrt(snr) * _STD**2 / jnp.sqrt(
      snr * _STD**2 + 1) * x


MODEL = Diffusion(_network, process_of, prediction.x0, _STD)


def _params(share=0.0, high=5.0, low=-4.0, gain=1.0):
  schedule = {'share': share, 'high': high, 'low': low}
  strong = lambda number: jnp.asarray(number, float)  # as those of a step are
  return init_model(strong(gain), jax.tree.map(strong, schedule))


def _batch(num):
  x = _STD * np.random.default_rng(1).normal(size=(num, _DIMS))
  return {'x': jnp.asarray(x), 'index': jnp.arange(num)}


@laws.float64
def test_bound_has_the_value_and_the_slopes_of_its_closed_form():
  """d log p(x_t) / d log_snr integrated (I-MMSE): half the integral of the
  least error over log-SNR, D / 2 log(1 + SNR std^2) between the ends. So it
  does not depend on the share; at its ends it falls by half the error there.

  Of 2e5 examples: 4 standard errors, of the value and of slopes by parts.
  """
  batch, num = _batch(200_000), 200_000

  @jax.jit
  def run(params, other):
    f = lambda p, **kw: loss.make_loss(MODEL, weighting=elbo, **kw)(
        p, _KEY, batch, None)[0]
    # Times of which more are early, that go through all levels too.
    often = lambda u: u**2
    return jax.value_and_grad(f)(params), f(other), f(params, times=often)

  (value, grad), moved, other_times = run(_params(), _params(share=1.5))
  antiderivative = lambda level: _DIMS / 2 * np.log1p(_STD**2 * np.exp(level))
  want = antiderivative(5.0) - antiderivative(-4.0)
  for got in (value, moved, other_times):
    np.testing.assert_allclose(got, want, rtol=4 * 2 / np.sqrt(num))
  error = lambda level: _DIMS / 2 * _STD**2 * np.exp(level) / (
      1 + _STD**2 * np.exp(level))
  slopes = grad['schedule']
  np.testing.assert_allclose(slopes['high'], error(5.0), atol=.02)
  np.testing.assert_allclose(slopes['low'], -error(-4.0), atol=.02)
  np.testing.assert_allclose(slopes['share'], 0, atol=.02)
  # The network's gain is 1 already, where the error is least.
  np.testing.assert_allclose(grad['network'], 0, atol=.05)


def test_schedule_is_trained_and_sampled_as_it_came_out():
  """By a few steps down the bound, which falls as its clean end comes down. A
  denoiser that says one point is followed exactly, at any step count: to alpha
  x_0 + sigma eps of the learned schedule's end. One program for all params."""
  # The loss bends by 140 or so in the network's gain: 2 / 140 is too far.
  tx, batch, point = optax.sgd(0.005), _batch(64), 0.3
  loss_fn = loss.make_loss(MODEL, weighting=elbo)
  traces = []

  @jax.jit
  def step(params, state):
    value, grads = jax.value_and_grad(
        lambda p: loss_fn(p, _KEY, batch, None)[0])(params)
    updates, state = tx.update(grads, state)
    return optax.apply_updates(params, updates), state, value

  pointed = make_denoiser(MODEL._replace(
      apply=lambda variables, x, noise, cond: jnp.full_like(x, point)))

  @jax.jit
  def sample(params):
    traces.append(params)
    p = process_of(params)
    grid = times.check_grid(p, p.grid(3))
    start = process.prior_sample(_KEY, p, (4, _DIMS), _STD)
    end = samplers.sample(_KEY, samplers.ddim(p), pointed(params), start, grid)
    return start, end.x

  first = params = _params()
  state = tx.init(params)
  values = []
  for _ in range(20):
    params, state, value = step(params, state)
    values.append(value)
  assert np.all(np.diff(values) < 0)
  for each in (first, params):
    schedule = {k: float(v) for k, v in each['schedule'].items()}
    (alpha_0, sigma_0), (alpha_1, sigma_1) = (
        np.sqrt(1 / (1 + np.exp(np.array([-level, level]))))
        for level in (schedule['high'], schedule['low']))
    start, end = sample(each)
    eps = (start - alpha_1 * point) / sigma_1
    np.testing.assert_allclose(end, alpha_0 * point + sigma_0 * eps, rtol=1e-4,
                               atol=1e-5)
  assert schedule['high'] < 4.95 and len(traces) == 1
  assert all(schedule[k] != float(v) for k, v in first['schedule'].items())
