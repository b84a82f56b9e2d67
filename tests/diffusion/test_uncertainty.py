"""Learned uncertainty, times by importance, a schedule of least variance.

The exact denoiser of a mixture stands in for the network.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.diffusion import exact
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import schedule
from genjax.diffusion import times
from genjax.diffusion import uncertainty
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from tests import laws

_KEY = jax.random.key(0)
_STD = 0.7
_BASE = process.edm()._replace(times=times.uniform_log_snr(
    process.edm(), -6.0, 8.0))


def _gaussian(variables, x, noise, cond, **_):
  """E[x_0 | x_t] of N(0, std^2), of x at unit variance."""
  snr = jnp.exp(noise)[:, None]
  return jnp.sqrt(snr) * _STD**2 / jnp.sqrt(snr * _STD**2 + 1) * x


MODEL = Diffusion(_gaussian, fixed(_BASE), prediction.x0, _STD)


def _error(log_snr):
  """The least error of N(0, std^2)."""
  return _STD**2 / (1 + _STD**2 * np.exp(log_snr))


def _batch(num, dims=1):
  x = _STD * np.random.default_rng(1).normal(size=(num, dims))
  return {'x': jnp.asarray(x, jnp.float32), 'index': jnp.arange(num)}


def _train(loss_fn, params, batch, steps, rate):
  """Params after steps of Adam, whose rate falls to 0."""
  tx = optax.adam(optax.cosine_decay_schedule(rate, steps))

  def step(carry, i):
    params, state = carry
    grads = jax.grad(lambda p: loss_fn(
        p, jax.random.fold_in(_KEY, i), batch, None)[0])(params)
    updates, state = tx.update(grads, state)
    return (optax.apply_updates(params, updates), state), None

  run = jax.jit(lambda params: jax.lax.scan(
      step, (params, tx.init(params)), jnp.arange(steps))[0][0])
  return run(params)


@functools.cache
def _uncertain():
  """Params whose uncertainty was trained by the error weighted as eps is."""
  loss_fn = loss.make_loss(MODEL, weighting=weighting.eps,
                           uncertainty=uncertainty.log_size)
  return _train(loss_fn, init_model(
      {}, weighting=uncertainty.init_uncertainty()), _batch(1024), 1500, .1)


def test_uncertainty_learns_the_expected_loss_of_each_level():
  """Of the Gaussian SNR std^2 / (1 + SNR std^2), which is known: over five
  orders of magnitude, to .1 nats where times are drawn."""
  log_snr = np.linspace(-5.5, 7.5, 27)
  got = uncertainty.log_size(_uncertain()['weighting'], jnp.asarray(log_snr))
  want = np.log(np.exp(log_snr) * _error(log_snr))
  np.testing.assert_allclose(got, want, atol=.1)


def test_importance_keeps_the_loss_and_lowers_its_variance():
  """By examples of one dimension: their loss has a mean square of 3 m^2 where
  its mean is m, so the best density goes with m, and no rate of 90 % even
  times beside it costs more than a tenth.

  Means of 2e5 examples: 4 standard errors.
  """
  batch, params = _batch(200_000), _uncertain()

  @jax.jit
  def losses(params):
    found = []
    for times_of in (None, uncertainty.times_of):
      e = loss.make_errors(MODEL, times_of=times_of)(params, _KEY, batch)
      found.append(weighting.eps(e.log_snr, e.rate) * e.slope**2 * e.target
                   * e.importance)
    return found

  plain, drawn = map(np.asarray, losses(params))
  log_snr = np.linspace(-6, 8, 2801)
  mean = np.exp(log_snr) * _error(log_snr)
  for got in (plain, drawn):
    np.testing.assert_allclose(got.mean(), mean.mean(), atol=4 * np.std(
        got) / np.sqrt(len(got)))
  squares = np.mean(plain**2), np.mean(drawn**2)
  np.testing.assert_allclose(squares[0], 3 * np.mean(mean**2), rtol=.05)
  best = 3 * mean.mean()**2  # of times whose density goes with the mean
  assert best < squares[1] < 1.12 * best < .9 * squares[0]


@laws.float64
def test_importance_has_the_density_it_is_told():
  """Of cells whose masses are known, with .2 of the times drawn evenly."""
  size = lambda log_snr: jnp.where(log_snr > 1, 3.0, 1.0)  # even: at u < 1 / 2
  quantile = times.importance(_BASE, size, cells=2, even=.2)
  u = np.linspace(.001, .999, 999)
  first = .8 * .75 + .1
  want = np.where(u < first, u / first / 2, .5 + (u - first) / (1 - first) / 2)
  np.testing.assert_allclose(
      quantile(jnp.asarray(u)), _BASE.times(jnp.asarray(want)), rtol=1e-5)
  errors = jax.jit(loss.make_errors(MODEL, times=quantile))(
      init_model({}), _KEY, _batch(64))
  np.testing.assert_allclose(
      errors.importance, np.where(errors.log_snr > 1, .5 / first,
                                  .5 / (1 - first)), rtol=1e-5)


def test_uncertainty_is_beside_the_loss_or_divides_it():
  """Beside it, value and the network's gradient are those without it."""
  params = init_model({'gain': jnp.ones(())}, weighting=jax.tree.map(
      lambda x: x + .1, uncertainty.init_uncertainty()))
  model = MODEL._replace(apply=lambda variables, *args, **kwargs: variables[
      'params']['gain'] * 0.9 * _gaussian(variables, *args, **kwargs))
  batch = _batch(64)

  def run(**options):
    f = loss.make_loss(model, weighting=weighting.eps, **options)
    (value, bins), grads = jax.value_and_grad(
        lambda p: f(p, _KEY, batch, None), has_aux=True)(params)
    return value, grads, sum(mean.total for mean in bins.values()) / 64

  plain, beside, divided = jax.jit(lambda: [
      run(), run(uncertainty=uncertainty.log_size, balanced=False),
      run(uncertainty=uncertainty.log_size)])()
  np.testing.assert_allclose(beside[0], plain[0], rtol=1e-6)
  np.testing.assert_allclose(beside[1]['network']['gain'],
                             plain[1]['network']['gain'], rtol=1e-6)
  for name, slope in divided[1]['weighting'].items():
    np.testing.assert_allclose(beside[1]['weighting'][name], slope, rtol=1e-5)
    assert np.abs(slope).max() > 1e-3
  e = jax.jit(loss.make_errors(model))(params, _KEY, batch)
  each = np.exp(e.log_snr) * e.slope**2 * e.target
  u = uncertainty.log_size(params['weighting'], e.log_snr)
  np.testing.assert_allclose(divided[0], np.mean(each * np.exp(-u) + u),
                             rtol=1e-5)
  for _, _, total in (plain, beside, divided):  # by level: the loss itself
    np.testing.assert_allclose(total, plain[0], rtol=1e-5)


ENDS = (-6.0, 8.0)


def _mixture(process_of):
  """The exact denoiser of a mixture of two points' clouds in the plane."""

  def network(variables, x, noise, cond, **_):
    # x is x_t at unit scale: alpha and sigma are those of its log-SNR.
    alpha, sigma = (jnp.sqrt(jax.nn.sigmoid(s * noise)) for s in (1, -1))
    p = process.from_schedules(
        alpha=lambda t: alpha, sigma=lambda t: sigma, log_snr=lambda t: noise,
        time=lambda level: level, t_min=0., t_max=1.)
    return exact.gaussian_mixture(
        p, jnp.zeros(2), jnp.asarray([[-1., 0], [1, 0]]), 0.01 * jnp.eye(2)
    ).denoiser(x, noise)

  return Diffusion(network, process_of, prediction.x0, 1.0,
                   scale_input=prediction.raw_input)


def test_learned_schedule_lowers_the_variance_of_the_loss():
  """arXiv:2107.00630, appendix I.2: the bound stays, its estimate varies less.

  Held-out mean and standard deviation of 5e4 examples before and after; the
  denoiser is exact, so that the variance is the schedule's and the data's.
  """
  process_of = schedule.learned(ENDS)
  model = _mixture(process_of)
  rng = np.random.default_rng(0)
  x = rng.choice([-1, 1], (50_000, 1)) * [[1., 0]] + .1 * rng.normal(
      size=(50_000, 2))
  batch = {'x': jnp.asarray(x, jnp.float32), 'index': jnp.arange(len(x))}
  few = {name: value[:512] for name, value in batch.items()}
  first = init_model({}, schedule.init_schedule(_KEY, hidden=16))
  loss_fn = loss.make_loss(model, weighting=weighting.elbo,
                           least_variance=True)
  last = _train(loss_fn, first, few, 300, .05)

  @jax.jit
  def losses(params):
    e = loss.make_errors(model)(params, jax.random.key(5), batch)
    return weighting.elbo(e.log_snr, e.rate) * e.slope**2 * e.target

  before, after = (np.asarray(losses(params)) for params in (first, last))
  error = 4 * np.hypot(before.std(), after.std()) / np.sqrt(len(x))
  np.testing.assert_allclose(after.mean(), before.mean(), atol=error)
  assert after.std() < .8 * before.std()


@pytest.mark.parametrize('ends', [None, (-4.0, 5.0)])
@laws.float64
def test_learned_schedule_is_a_process(ends):
  """Variance preserving, falling between its ends, inverted by its time; of
  random params, near to a straight line at first."""
  t = np.linspace(0, 1, 101)

  @jax.jit
  def levels(params):
    p = schedule.learned(ends)({'schedule': params})
    log_snr = p.log_snr(jnp.asarray(t))
    return (log_snr, p.alpha(jnp.asarray(t)), p.sigma(jnp.asarray(t)),
            p.time(log_snr), p.grid(6))

  params = jax.jit(lambda: schedule.init_schedule(
      _KEY, hidden=8, ends=(-4.0, 5.0) if ends is None else None))()
  np.testing.assert_allclose(levels(params)[0], 5 - 9 * t, atol=1.0)
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda x: np.asarray(x) + 4 * rng.normal(size=x.shape)
                        if x.ndim else x, params)
  p = schedule.learned(ends)({'schedule': params})
  log_snr, alpha, sigma, time, grid = map(np.asarray, levels(params))
  np.testing.assert_allclose(log_snr[[0, -1]], [5, -4], rtol=1e-9)
  assert np.all(np.diff(log_snr) < 0)
  np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-12)
  np.testing.assert_allclose(2 * np.log(alpha / sigma), log_snr, rtol=1e-9,
                             atol=1e-9)
  np.testing.assert_allclose(time, t, atol=1e-9)
  grid = times.check_grid(p, jnp.asarray(grid))
  assert grid[0] == 1 and grid[-1] == 0
  traced = jax.jit(lambda params: times.check_grid(
      (q := schedule.learned(ends)({'schedule': params})), q.grid(6)))(params)
  np.testing.assert_allclose(traced, grid, atol=1e-4)


def test_variance_trains_the_schedule_alone_and_the_loss_its_ends():
  """Gradients of both at once: the network's and the ends' are the loss's, the
  rest of the schedule's those of the relative variance."""
  network = lambda variables, x, noise, cond, **_: variables['params'][
      'gain'] * _gaussian(variables, x, noise, cond)
  model = Diffusion(network, schedule.learned(), prediction.x0, _STD)
  params = init_model({'gain': jnp.asarray(.8)}, schedule.init_schedule(
      _KEY, hidden=4, ends=(-3.0, 4.0)))
  batch = _batch(256)

  def relative(params):
    e = loss.make_errors(model)(params, _KEY, batch)
    each = weighting.elbo(e.log_snr, e.rate) * e.slope**2 * e.target
    return jnp.mean(each**2) / jax.lax.stop_gradient(jnp.mean(each))**2

  def grads(**options):
    f = loss.make_loss(model, weighting=weighting.elbo, **options)
    return jax.grad(lambda p: f(p, _KEY, batch, None)[0])(params)

  plain, both, spread = jax.jit(lambda: (
      grads(), grads(least_variance=True), jax.grad(relative)(params)))()
  np.testing.assert_allclose(both['network']['gain'], plain['network']['gain'],
                             rtol=1e-5)
  for name, got in both['schedule'].items():
    want = plain if name in ('low', 'log_range') else spread
    np.testing.assert_allclose(got, want['schedule'][name], rtol=1e-3,
                               atol=1e-6, err_msg=name)


@pytest.mark.parametrize('make, message', [
    (lambda: schedule.learned((1.0, -1.0)), 'learned: ends must be two log'),
    (lambda: schedule.init_schedule(_KEY, ends=(-30., 1.)), 'init_schedule:'),
    (lambda: schedule.init_schedule(_KEY, hidden=0), 'init_schedule: hidden'),
    (lambda: times.importance(_BASE, jnp.exp, even=0.), 'importance: even'),
    (lambda: times.importance(_BASE, jnp.exp, cells=0), 'importance: cells'),
    (lambda: loss.make_loss(MODEL, weighting=weighting.x0, times=_BASE.times,
                            times_of=uncertainty.times_of),
     'make_loss: times must be absent')])
def test_numbers_out_of_range_are_refused(make, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    make()
