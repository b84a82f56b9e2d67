"""The loss is the weighted x_0 error, for every prediction and any batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.sources import ArraySource
from genjax.diffusion import conditions
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PREDICTIONS
from tests.diffusion.tables import PROCESSES

_KEY = jax.random.key(11)
_X = np.random.default_rng(0).normal(size=(8, 3))


def _network(variables, x, noise, cond, train=False, rngs=None):
  del train, rngs
  bias = 0.0 if cond is None else jnp.where(
      cond['absent'], .4, 0.1 * cond['label'])[:, None]
  return variables['params']['w'] * x + 0.1 * jnp.tanh(noise)[:, None] + bias


def _params(w):
  return init_model({'w': jnp.asarray(w, jnp.float32)})


def _batch(x=_X, start=0, label=None, **more):
  cond = {} if label is None else {'label': label}
  return {'x': jnp.asarray(x), 'index': start + jnp.arange(len(x)),
          'cond': cond, **more}


def _at(p, low, high):
  """`p`, trained at log-SNRs uniform between these."""
  return p._replace(times=times.uniform_log_snr(p, low, high))


def _model(p, predicted, network=_network, data_std=0.7):
  return Diffusion(network, fixed(p), predicted, data_std)


def _make(p, predicted, network=_network, weight=weighting.eps, **options):
  """(params, key, batch) -> (loss, metrics), at log-SNRs within +-5."""
  run = loss.make_loss(_model(_at(p, -5., 5.), predicted, network),
                       weighting=weight, **options)
  return lambda params, key, batch: run(params, key, batch, None)


def _spying(predicted, seen):
  """The prediction itself, telling the noise and the times it was shown."""

  def target(process, x0, eps, t):
    seen.append((eps, t))
    return predicted.target(process, x0, eps, t)

  return predicted._replace(target=target)


@pytest.mark.parametrize('kind', PREDICTIONS)
@pytest.mark.parametrize('name', ['vp_linear', 'edm', 'flow_matching'])
@laws.float64
def test_loss_is_the_weighted_x0_error(name, kind):
  """Through `make_denoiser`, on the noise and times that the loss drew."""
  if not tables.defined(name, kind):
    pytest.skip('refused: divides by alpha = 0')
  p, seen = PROCESSES[name], []
  params = _params(.3)
  run = _make(p, _spying(PREDICTIONS[kind], seen))
  got, eps, t = jax.jit(lambda params, key, batch: (
      run(params, key, batch)[0], *seen.pop()))(params, _KEY, _batch())
  alpha, sigma = (tables.at(f, t)[:, None] for f in (p.alpha, p.sigma))
  xt = alpha * _X + sigma * np.asarray(eps)
  denoised = jax.jit(lambda xt, t: make_denoiser(
      _model(p, PREDICTIONS[kind]))(params)(xt, t))(xt, t)
  error = np.mean((np.asarray(denoised) - _X)**2, 1)
  want = np.mean((alpha / sigma)[:, 0]**2 * error)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  assert len(np.unique(eps)) == eps.size  # every pixel has its own noise


@functools.cache
def _conditional():
  """One compiled loss for the tests that need classes and many batches."""
  return jax.jit(_make(PROCESSES['vp_linear'], prediction.v,
                       null=conditions.null, drop=0.5))


def test_loss_of_a_batch_is_the_mean_over_its_parts():
  """Noise, times and dropped classes belong to the index, not to the batch."""
  run = _conditional()
  params, label = _params(.3), jnp.arange(8) % 4
  whole, metrics = run(params, _KEY, _batch(label=label))
  halves = [run(params, _KEY, _batch(_X[i:i + 4], i, label=label[i:i + 4]))
            for i in (0, 4)]
  np.testing.assert_allclose(whole, np.mean([h[0] for h in halves]), rtol=1e-5)
  for name, value in metrics.items():
    np.testing.assert_allclose(
        value, sum(np.asarray(h[1][name]) for h in halves), rtol=1e-5,
        err_msg=name)
  other, _ = run(params, _KEY, _batch(start=8, label=label))
  assert abs(float(other - whole)) > 1e-3


def test_loss_metrics_partition_the_loss_by_log_snr():
  run = jax.jit(_make(PROCESSES['edm'], prediction.edm(.7)))
  total, metrics = run(_params(.3), _KEY, _batch())
  np.testing.assert_allclose(sum(m.count for m in metrics.values()), 8)
  np.testing.assert_allclose(sum(m.total for m in metrics.values()) / 8, total,
                             rtol=1e-6)


@pytest.mark.parametrize('low, high, name', [
    (-12., -8.01, '-inf_to_-8'), (-3.99, -2.01, '-4_to_-2'),
    (.01, 1.99, '0_to_2'), (8.01, 12., '8_to_inf')])
def test_loss_metrics_put_examples_into_their_bin(low, high, name):
  run = loss.make_loss(_model(_at(PROCESSES['edm'], low, high), prediction.x0),
                       weighting=weighting.x0)
  _, metrics = run(_params(.3), _KEY, _batch(), None)
  counts = {k: float(m.count) for k, m in metrics.items() if m.count}
  assert counts == {f'loss_by_log_snr/{name}': 8}


def test_mask_leaves_examples_out():
  """The loss is the mean of the others, whatever the masked ones hold."""
  run = _conditional()
  params, label = _params(.3), jnp.arange(8) % 4
  mask = jnp.asarray([1., 1, 1, 1, 0, 0, 0, 0])
  junk = np.concatenate([_X[:4], 1e3 * np.ones((4, 3))])
  got, metrics = run(params, _KEY, _batch(junk, mask=mask, label=label))
  want, kept = run(params, _KEY, _batch(_X[:4], label=label[:4]))
  np.testing.assert_allclose(got, want, rtol=1e-5)
  for name, value in kept.items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
  full, _ = run(params, _KEY, _batch(mask=jnp.ones(8), label=label))
  plain, _ = run(params, _KEY, _batch(label=label))
  np.testing.assert_allclose(full, plain, rtol=1e-6)


def _perfect(std):
  """The network that is E[x_0 | x_t] of data N(0, std^2)."""

  def network(variables, x, noise, cond, **_):
    # x is x_t / sqrt(alpha^2 std^2 + sigma^2): its gain is alpha std^2 over
    # that root, and alpha / sigma = exp(log_snr / 2).
    snr = jnp.exp(noise)[:, None]
    return jnp.sqrt(snr) * std**2 / jnp.sqrt(snr * std**2 + 1) * x

  return network


def test_perfect_denoiser_has_unit_edm_loss():
  """The EDM weight is one over the posterior variance of N(0, data_std^2).

  So the expectation is 1 at any distribution of times. A squared normal error
  has variance 2: the mean of 2048 x 8 scatters by sqrt(2 / 16384) = 1.1 %.
  """
  std = 0.7

  run = loss.make_loss(
      _model(PROCESSES['flow_matching'], prediction.x0, _perfect(std), std),
      weighting=weighting.edm(std))
  data = std * np.random.default_rng(1).normal(size=(2048, 8))
  got, metrics = jax.jit(run)(init_model({}), _KEY,
                              _batch(data.astype(np.float32)), None)
  np.testing.assert_allclose(got, 1, atol=4 * .011)
  for name, bin_ in metrics.items():
    scatter = np.sqrt(2 / (8 * max(float(bin_.count), 1)))
    if bin_.count:
      np.testing.assert_allclose(bin_.total / bin_.count, 1, atol=4 * scatter,
                                 err_msg=name)


@pytest.mark.parametrize('times_of, least, most', [
    (lambda p: times.uniform_log_snr(p, -8., 8.), -6., 2.),
    (lambda p: times.log_normal(p, 1., 1.5), -6., 2.),
])
def test_other_training_times_leave_the_objective(times_of, least, most):
  """Of a perfect denoiser of N(0, std^2): the mean of w(log_snr) std^2 /
  (1 + SNR std^2) over the process's own levels, uniform on [least, most].

  The levels are those of 20000 golden points, which leave 1e-3; a squared
  normal error scatters by sqrt(2 / 8 / 20000) = .35 %, thrice that with the
  importance of these times, which is 10 at most. And a measure over levels,
  of which the rate is a factor, is the integral whatever the process's times.
  """
  std, dims = 0.7, 8
  p = _at(PROCESSES['vp_linear'], least, most)
  model = _model(p, prediction.x0, _perfect(std), std)
  rng = np.random.default_rng(1)
  batch = _batch(std * rng.normal(size=(20_000, dims)).astype(np.float32))

  @jax.jit
  def run(key):
    return [loss.make_loss(model, weighting=weight, times=other)(
        init_model({}), key, batch, None)[0]
            for weight in (weighting.eps, lambda log_snr, rate: rate)
            for other in (None, times_of(p))]

  level = np.linspace(least, most, 100_001)
  error = std**2 / (1 + std**2 * np.exp(level))
  mean = np.mean(np.exp(level) * error)
  measure = np.mean(error) * (most - least)
  np.testing.assert_allclose(run(_KEY), [mean, mean, measure, measure],
                             rtol=4 * .0105)


@laws.float64
def test_errors_tell_how_far_each_example_is_off():
  """slope^2 target is the squared x_0 error; the rate is that of the levels,
  10 of log-SNRs uniform on +-5; importance is the ratio of densities, .5 of
  times that go through the levels half as fast, and 0 beyond the process's."""
  p, seen = _at(PROCESSES['vp_linear'], -5., 5.), []
  other = times.uniform_log_snr(p, -4., 6.)
  errors = loss.make_errors(_model(p, _spying(prediction.eps, seen)))(
      _params(.3), _KEY, _batch())
  eps, t = seen[0]
  alpha, sigma = (np.asarray(f(t))[:, None] for f in (p.alpha, p.sigma))
  xt = jnp.asarray(alpha * _X + sigma * np.asarray(eps))
  x0 = make_denoiser(_model(p, prediction.eps))(_params(.3))(xt, t)
  np.testing.assert_allclose(errors.slope**2 * errors.target,
                             np.mean((np.asarray(x0) - _X)**2, 1), rtol=1e-6)
  np.testing.assert_allclose(errors.log_snr, p.log_snr(t), rtol=1e-7)
  np.testing.assert_allclose(errors.rate, 10, rtol=1e-6)
  np.testing.assert_array_equal(errors.importance, 1)
  half = times.uniform_log_snr(p, -2.5, 2.5)
  for quantile, inside in ((half, .5), (other, 1)):
    errors = loss.make_errors(_model(p, prediction.eps), times=quantile)(
        _params(.3), _KEY, _batch(np.zeros((64, 1))))
    want = np.where(errors.log_snr < 5, inside, 0)
    np.testing.assert_allclose(errors.importance, want, rtol=1e-6)
    assert (np.sum(want == 0) > 0) == (inside == 1)


def test_dropout_of_the_condition_has_its_rate():
  seen = []

  def network(variables, x, noise, cond, **kwargs):
    seen.append(cond)
    return x

  run = _make(PROCESSES['edm'], prediction.x0, network, null=conditions.null,
              drop=0.3)
  label = 1 + jnp.arange(4000) % 4
  run(_params(.3), _KEY, _batch(np.zeros((4000, 1)), label=label))
  dropped = np.asarray(seen[0]['absent'])
  np.testing.assert_array_equal(seen[0]['label'],
                                np.where(dropped, 0, label))
  # Binomial: 4 standard deviations of the rate are 4 sqrt(.21 / 4000) = .029.
  np.testing.assert_allclose(dropped.mean(), 0.3, atol=.029)


def test_how_images_were_changed_is_told_but_of_masked_examples():
  """Whatever else is dropped; of those nothing is looked at."""
  seen = []

  def network(variables, x, noise, cond, **kwargs):
    seen.append(cond)
    return x

  run = _make(PROCESSES['edm'], prediction.x0, network, null=conditions.null,
              drop=0.9)
  batch = _batch(label=jnp.ones(8, int), mask=jnp.arange(8) < 6)
  batch['cond']['augment'] = jnp.where(batch['mask'], 2., jnp.nan)[:, None]
  told = jax.jit(lambda batch: (run(_params(.3), _KEY, batch), seen.pop())[1])(
      batch)
  assert sum(told['absent'][:6]) > 0
  np.testing.assert_array_equal(told['augment'][:, 0], [2] * 6 + [0] * 2)


@pytest.mark.parametrize('train', [True, False])
def test_network_is_told_whether_it_is_trained(train):
  """And no condition that the batch holds, unless it is one of it."""
  told = []

  def network(variables, x, noise, cond, train=None, rngs=None):
    told.append((train, sorted(rngs), cond))
    return x

  make = loss.make_losses if not train else lambda *args, **more: (
      lambda *given: loss.make_loss(*args, **more)(*given, None))
  make(_model(PROCESSES['edm'], prediction.x0, network),
       weighting=weighting.eps)(_params(.3), _KEY, _batch(label=jnp.zeros(8)))
  assert told == [(train, ['dropout'], None)]


def test_loss_is_differentiable_and_deterministic():
  run = _make(PROCESSES['vp_linear'], prediction.eps)
  grad = jax.jit(jax.grad(lambda w, key: run(_params(w), key, _batch())[0]))
  first, again = (grad(jnp.float32(.3), _KEY) for _ in range(2))
  assert np.isfinite(first) and first == again
  assert grad(jnp.float32(.3), jax.random.key(12)) != first


@pytest.mark.parametrize('options, message', [
    ({'drop': 1.0, 'null': conditions.null}, 'drop must be in'),
    ({'drop': -.1, 'null': conditions.null}, 'drop must be in'),
    ({'drop': .1}, 'drop needs null'),
])
def test_make_loss_refuses_bad_dropout(options, message):
  with pytest.raises(ValueError, match='make_loss: ' + message):
    _make(PROCESSES['edm'], prediction.x0, **options)


def test_loss_of_a_conditional_model_refuses_data_without_condition():
  run = _make(PROCESSES['edm'], prediction.x0, null=conditions.null)
  with pytest.raises(ValueError, match='parts of a condition must be'):
    run(_params(.3), _KEY, _batch())


def test_loss_refuses_eps_where_alpha_ends_at_zero():
  with pytest.raises(ValueError, match='make_loss: eps and score need'):
    _make(PROCESSES['flow_matching'], prediction.eps)(
        _params(.3), _KEY, _batch())


def test_losses_of_held_out_examples_have_the_loss_for_their_mean():
  """Of a model that is told its classes: all of them, and nothing dropped."""
  model = _model(_at(PROCESSES['edm'], -5., 5.), prediction.edm(.7))
  batch = _batch(label=jnp.arange(8) % 4)
  losses = jax.jit(loss.make_losses(
      model, weighting=weighting.eps, null=conditions.null))
  found = losses(_params(.3), _KEY, batch)
  want, metrics = jax.jit(loss.make_loss(
      model, weighting=weighting.eps, null=conditions.null))(
          _params(.3), _KEY, batch, None)
  np.testing.assert_allclose(np.mean(found.loss), want, rtol=1e-6)
  told = loss.summary(found)
  np.testing.assert_allclose(told.pop('loss'), want, rtol=1e-6)
  assert told.keys() == {name for name, m in metrics.items() if m.count}
  for name, value in told.items():
    np.testing.assert_allclose(value, metrics[name].total / metrics[name].count,
                               rtol=1e-6)


def test_evaluate_looks_at_every_example_once():
  """By losses that are known: each its own x, squared."""

  def losses(params, key, batch):
    del key
    x = batch['x'][:, 0]
    return loss.Losses(np.square(x) * params, x)

  x = np.random.default_rng(0).normal(size=(23, 1)).astype(np.float32)
  found = loss.evaluate(losses, 2.0, jax.random.key(0),
                        ArraySource({'x': x}), 10)
  np.testing.assert_array_equal(np.sort(found.log_snr), np.sort(x[:, 0]))
  np.testing.assert_allclose(found.loss, 2 * np.square(found.log_snr))
