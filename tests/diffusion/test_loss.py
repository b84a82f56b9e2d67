"""The loss is the weighted x_0 error, for every prediction and any batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.prediction import Prediction
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PREDICTIONS
from tests.diffusion.tables import PROCESSES

_KEY = jax.random.key(11)
_X = np.random.default_rng(0).normal(size=(8, 3))


def _network(variables, x, log_snr, label, train=False, rngs=None):
  del train, rngs
  bias = 0.0 if label is None else 0.1 * label[:, None]
  return variables['params']['w'] * x + 0.1 * jnp.tanh(log_snr)[:, None] + bias


def _batch(x=_X, start=0, **more):
  return {'x': jnp.asarray(x), 'index': start + jnp.arange(len(x)), **more}


def _make(p, predicted, network=_network, weight=weighting.eps, **options):
  return loss.make_loss(
      network, p, predicted, times=times.uniform_log_snr(p, -5., 5.),
      weighting=weight, data_std=0.7, **options)


def _spying(predicted, seen):
  """The prediction itself, telling the noise and the times it was shown."""

  def target(process, x0, eps, t):
    seen.append((eps, t))
    return predicted.target(process, x0, eps, t)

  return Prediction(target, predicted.to_x0, predicted.divides_by_alpha)


@pytest.mark.parametrize('kind', PREDICTIONS)
@pytest.mark.parametrize('name', ['vp_linear', 'edm', 'flow_matching'])
@laws.float64
def test_loss_is_the_weighted_x0_error(name, kind):
  """Through `make_denoiser`, on the noise and times that the loss drew."""
  if not tables.defined(name, kind):
    pytest.skip('refused: divides by alpha = 0')
  p, seen = PROCESSES[name], []
  params = {'w': jnp.asarray(.3)}
  got, _ = _make(p, _spying(PREDICTIONS[kind], seen))(params, _KEY, _batch())
  eps, t = seen[0]
  alpha, sigma = (np.asarray(f(t))[:, None] for f in (p.alpha, p.sigma))
  xt = alpha * _X + sigma * np.asarray(eps)
  denoiser = prediction.make_denoiser(_network, p, PREDICTIONS[kind],
                                      data_std=0.7)({'params': params})
  error = np.mean((np.asarray(denoiser(jnp.asarray(xt), t)) - _X)**2, 1)
  want = np.mean((alpha / sigma)[:, 0]**2 * error)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  assert len(np.unique(eps)) == eps.size  # every pixel has its own noise


@functools.cache
def _conditional():
  """One compiled loss for the tests that need labels and many batches."""
  return jax.jit(_make(PROCESSES['vp_linear'], prediction.v, num_classes=4,
                       label_dropout=0.5))


def test_loss_of_a_batch_is_the_mean_over_its_parts():
  """Noise, times and dropped labels belong to the index, not to the batch."""
  run = _conditional()
  params, label = {'w': jnp.float32(.3)}, jnp.arange(8) % 4
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
  run = _make(PROCESSES['edm'], prediction.edm(.7))
  total, metrics = run({'w': jnp.float32(.3)}, _KEY, _batch())
  np.testing.assert_allclose(sum(m.count for m in metrics.values()), 8)
  np.testing.assert_allclose(sum(m.total for m in metrics.values()) / 8, total,
                             rtol=1e-6)


@pytest.mark.parametrize('low, high, name', [
    (-12., -8.01, '-inf_to_-8'), (-3.99, -2.01, '-4_to_-2'),
    (.01, 1.99, '0_to_2'), (8.01, 12., '8_to_inf')])
def test_loss_metrics_put_examples_into_their_bin(low, high, name):
  p = PROCESSES['edm']
  run = loss.make_loss(
      _network, p, prediction.x0, times=times.uniform_log_snr(p, low, high),
      weighting=weighting.x0, data_std=1.)
  _, metrics = run({'w': jnp.float32(.3)}, _KEY, _batch())
  counts = {k: float(m.count) for k, m in metrics.items() if m.count}
  assert counts == {f'loss_by_log_snr/{name}': 8}


def test_mask_leaves_examples_out():
  """The loss is the mean of the others, whatever the masked ones hold."""
  run = _conditional()
  params, label = {'w': jnp.float32(.3)}, jnp.arange(8) % 4
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


def test_perfect_denoiser_has_unit_edm_loss():
  """The EDM weight is one over the posterior variance of N(0, data_std^2).

  So the expectation is 1 at any distribution of times. A squared normal error
  has variance 2: the mean of 2048 x 8 scatters by sqrt(2 / 16384) = 1.1 %.
  """
  std = 0.7

  def perfect(variables, x, log_snr, label, **kwargs):
    # x is x_t / sqrt(alpha^2 std^2 + sigma^2): its gain is alpha std^2 over
    # that root, and alpha / sigma = exp(log_snr / 2).
    snr = jnp.exp(log_snr)[:, None]
    return jnp.sqrt(snr) * std**2 / jnp.sqrt(snr * std**2 + 1) * x

  p = PROCESSES['flow_matching']
  run = loss.make_loss(perfect, p, prediction.x0, times=times.uniform(p),
                       weighting=weighting.edm(std), data_std=std)
  data = std * np.random.default_rng(1).normal(size=(2048, 8))
  got, metrics = jax.jit(run)({}, _KEY, _batch(data.astype(np.float32)))
  np.testing.assert_allclose(got, 1, atol=4 * .011)
  for name, bin_ in metrics.items():
    scatter = np.sqrt(2 / (8 * max(float(bin_.count), 1)))
    if bin_.count:
      np.testing.assert_allclose(bin_.total / bin_.count, 1, atol=4 * scatter,
                                 err_msg=name)


def test_label_dropout_has_its_rate_and_drops_to_no_class():
  seen = []

  def network(variables, x, log_snr, label, **kwargs):
    seen.append(label)
    return x

  run = _make(PROCESSES['edm'], prediction.x0, network, num_classes=4,
              label_dropout=0.3)
  label = jnp.arange(4000) % 4
  run({}, _KEY, _batch(np.zeros((4000, 1)), label=label))
  dropped = np.asarray(seen[0]) == 4
  np.testing.assert_array_equal(np.asarray(seen[0])[~dropped],
                                np.asarray(label)[~dropped])
  # Binomial: 4 standard deviations of the rate are 4 sqrt(.21 / 4000) = .029.
  np.testing.assert_allclose(dropped.mean(), 0.3, atol=.029)


@pytest.mark.parametrize('train', [True, False])
def test_network_is_told_whether_it_is_trained(train):
  told = []

  def network(variables, x, log_snr, label, train=None, rngs=None):
    told.append((train, sorted(rngs), label))
    return x

  _make(PROCESSES['edm'], prediction.x0, network, train=train)(
      {}, _KEY, _batch())
  assert told == [(train, ['dropout'], None)]


def test_loss_is_differentiable_and_deterministic():
  run = _make(PROCESSES['vp_linear'], prediction.eps)
  grad = jax.jit(jax.grad(lambda w, key: run({'w': w}, key, _batch())[0]))
  first, again = (grad(jnp.float32(.3), _KEY) for _ in range(2))
  assert np.isfinite(first) and first == again
  assert grad(jnp.float32(.3), jax.random.key(12)) != first


@pytest.mark.parametrize('options, message', [
    ({'label_dropout': 1.0, 'num_classes': 3}, 'label_dropout must be in'),
    ({'label_dropout': -.1, 'num_classes': 3}, 'label_dropout must be in'),
    ({'label_dropout': .1}, 'label_dropout needs num_classes'),
])
def test_make_loss_refuses_bad_label_dropout(options, message):
  with pytest.raises(ValueError, match='make_loss: ' + message):
    _make(PROCESSES['edm'], prediction.x0, **options)


def test_make_loss_refuses_eps_where_alpha_ends_at_zero():
  with pytest.raises(ValueError, match='make_loss: eps and score need'):
    _make(PROCESSES['flow_matching'], prediction.eps)
