"""Mixtures: K is never taken for N or the batch, and what edges give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.distributions.bounded import gamma
from genjax.distributions.bounded import GammaParams
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import poisson
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from tests import laws

_NAN, _INF = float('nan'), float('inf')


@pytest.mark.parametrize('logits, loc, scale, batch', [
    ((3,), (3,), (3,), ()),
    ((3,), (3, 3), (3, 3), (3,)),
    ((3, 3), (3, 3), (3, 3), (3,)),
    ((3, 3), (3,), (3,), (3,)),  # only the weights have a batch
    ((3,), (3, 3), (3, 1), (3,)),
    ((3,), (3, 2, 3), (3, 3), (2, 3)),
    ((3, 2, 1), (3, 3), (3,), (2, 3)),
])
def test_mixture_never_takes_components_for_draws_or_batch(
    logits, loc, scale, batch):
  """K = N = 3, and often the batch: each member against a loop over all."""
  rng = np.random.default_rng(0)
  # Components are told apart by their loc, members by their place in it, and
  # each member has one weight that outdoes the others.
  params = MixtureParams(
      30 * jnp.asarray(rng.permutation(np.prod(logits)).reshape(logits), float),
      NormalParams(1000 * jnp.asarray(rng.permutation(
          np.prod(loc)).reshape(loc), jnp.float32),
                   jnp.asarray(np.exp(rng.normal(size=scale)), jnp.float32)))
  dist = laws.compiled(mixture(normal))
  full = [np.broadcast_to(np.reshape(p, (3, *(len(batch) + 1 - p.ndim) * (1,),
                                         *p.shape[1:])), (3, *batch))
          for p in (params.logits, *params.components)]
  x = dist.sample(jax.random.key(0), params, (3,))
  assert x.shape == (3, *batch)
  nats = dist.log_prob(params, x)
  for index in np.ndindex(3, *batch):
    weights, means, scales = (p[(slice(None), *index[1:])] for p in full)
    away = np.abs(x[index] - means) / scales
    assert away[weights.argmax()] < 6
    want = special.logsumexp(special.log_softmax(weights) + stats.norm(
        means, scales).logpdf(x[index]))
    np.testing.assert_allclose(nats[index], want, rtol=1e-5)
  means = np.sum(special.softmax(full[0], 0) * full[1], 0)
  np.testing.assert_allclose(dist.mean(params), means, rtol=1e-5)


@pytest.mark.parametrize('loc, tril', [
    ((3, 3), (3, 3, 3)),
    ((3, 3, 3), (3, 3, 3)),  # the batch has its locations, and one matrix
    ((3, 3), (3, 3, 3, 3)),
])
def test_mixture_of_vectors_tells_the_batch_from_the_event(loc, tril):
  """K, N, the batch and D are 3."""
  dist = laws.compiled(mixture(multivariate_normal))
  loc = 100. * jnp.arange(np.prod(loc)).reshape(loc)
  params = MixtureParams(jnp.zeros(3), MultivariateNormalParams(
      loc, jnp.broadcast_to(jnp.eye(3), tril)))
  batch = (3,) if max(loc.ndim, len(tril) - 1) == 3 else ()
  x = dist.sample(jax.random.key(0), params, (3,))
  assert x.shape == (3, *batch, 3)
  means = np.broadcast_to(
      loc if loc.ndim == 3 or not batch else loc[:, None], (3, *batch, 3))
  # One component for the whole vector, of its own member of the batch.
  away = np.linalg.norm(x[:, None] - means, axis=-1)
  assert away.min(1).max() < 6
  nats = dist.log_prob(params, x)
  want = np.log(1 / 3) - 0.5 * away.min(1)**2 - 1.5 * np.log(2 * np.pi)
  np.testing.assert_allclose(nats, want, rtol=1e-4)
  np.testing.assert_allclose(dist.mean(params), means.mean(0), rtol=1e-6)
  np.testing.assert_allclose(
      dist.variance(params), 1 + means.var(0), rtol=1e-5)


def test_mixture_of_images_chooses_once_for_all_pixels():
  """Events of rank 3 in batches of 2: pixels of one image agree."""
  dist = laws.compiled(mixture(independent(normal, 3)))
  sign = jnp.asarray([-10., 10.]).reshape(2, 1, 1, 1, 1)
  params = MixtureParams(
      jnp.log(jnp.asarray([[0.3, 0.6], [0.7, 0.4]])),
      NormalParams(jnp.broadcast_to(sign, (2, 2, 2, 2, 1)), 1.0 + 0 * sign))
  x = dist.sample(jax.random.key(0), params, (2000,))
  assert x.shape == (2000, 2, 2, 2, 1)
  signs = np.sign(x).reshape(2000, 2, 4)
  assert (signs == signs[..., :1]).all()
  shares = (signs[..., 0] > 0).mean(0)  # standard error 0.011
  np.testing.assert_allclose(shares, [0.7, 0.4], atol=0.05)
  assert abs(np.corrcoef(signs[:, 0, 0], signs[:, 1, 0])[0, 1]) < 0.1
  nats = dist.log_prob(params, x)
  distance = np.square(x - 10 * np.sign(x)).sum((2, 3, 4))
  chosen = np.where(signs[..., 0] > 0, [0.7, 0.4], [0.3, 0.6])
  np.testing.assert_allclose(
      nats, np.log(chosen) - 0.5 * distance - 2 * np.log(2 * np.pi), rtol=1e-4)


def test_mixture_of_counts_draws_whole_numbers():
  dist = laws.compiled(mixture(poisson))
  params = MixtureParams(jnp.log(jnp.asarray([[0.3, 1.0], [0.7, _NAN]])),
                         PoissonParams(jnp.asarray([[2.0], [9.0]])))
  x = dist.sample(jax.random.key(0), params, (5000,))
  assert x.dtype == jnp.int32
  # mean .3 * 2 + .7 * 9 = 6.9, variance 6.9 + .21 * 49: standard error .06
  np.testing.assert_allclose(x[:, 0].mean(), 6.9, atol=0.3)
  assert (x[:, 1] == -1).all()
  np.testing.assert_array_equal(
      np.isnan(dist.log_prob(params, x[0])), [False, True])


@pytest.mark.parametrize('bad', [_NAN, _INF])
def test_mixture_of_bad_weights_is_nan(bad):
  dist = laws.compiled(mixture(normal))
  params = MixtureParams(
      jnp.asarray([[0.0, 0.0, -_INF], [0.0, bad, -_INF]]),
      NormalParams(jnp.zeros((2, 1)), jnp.ones((2, 1))))
  for value in (dist.sample(jax.random.key(0), params),
                dist.log_prob(params, jnp.zeros(3)), dist.mean(params),
                dist.variance(params), dist.cdf(params, jnp.zeros(3))):
    np.testing.assert_array_equal(np.isnan(value), [False, True, True])


def test_mixture_is_without_its_components_of_no_weight():
  """Even where these have no density: bad params, or -inf and +inf nats."""
  dist = laws.compiled(mixture(gamma))
  two = GammaParams(jnp.asarray([2.0, _NAN, 0.5]), jnp.asarray([1.0, 1.0, 1.0]))
  params = MixtureParams(jnp.asarray([3.0, -_INF, -_INF]), two)
  one = GammaParams(2.0, 1.0)
  x = jnp.asarray([-1.0, 0.0, 1.0, 100.0])
  np.testing.assert_allclose(
      dist.log_prob(params, x), jax.jit(gamma.log_prob)(one, x), rtol=1e-6)
  assert not np.isnan(dist.sample(jax.random.key(0), params, (100,))).any()
  np.testing.assert_allclose(dist.mean(params), 2.0, rtol=1e-6)
  np.testing.assert_allclose(dist.variance(params), 2.0, rtol=1e-6)


def test_mixture_gradients_are_finite_at_no_weight_and_no_density():
  """The second component has no weight; no component has density at -1."""
  params = MixtureParams(
      jnp.asarray([0.0, -_INF]), GammaParams(jnp.ones(2), jnp.ones(2)))
  grad = jax.jit(jax.grad(mixture(gamma).log_prob, argnums=(0, 1)))
  inside = jax.tree.leaves(grad(params, 3.0))
  outside = jax.tree.leaves(grad(params, -1.0))
  assert all(np.isfinite(leaf).all() for leaf in inside + outside)
  # log p = log c_1 + ... with d/dx = -rate, and d/d rate = 1 / rate - x.
  np.testing.assert_allclose(inside[-1], -1.0, rtol=1e-6)
  np.testing.assert_allclose(inside[-2], [-2.0, 0.0], rtol=1e-6)
  assert not any(np.any(leaf) for leaf in outside)


@pytest.mark.parametrize('params', [
    MixtureParams(jnp.zeros(2), NormalParams(jnp.zeros(3), jnp.ones(3))),
    MixtureParams(jnp.zeros(3), NormalParams(jnp.zeros(3), 1.0)),
    MixtureParams(0.0, NormalParams(jnp.zeros(3), jnp.ones(3))),
    MixtureParams(jnp.zeros(0), NormalParams(jnp.zeros(0), jnp.ones(0))),
])
def test_mixture_refuses_params_without_the_axis_of_components(params):
  dist = mixture(normal)
  for call in (lambda: dist.sample(jax.random.key(0), params),
               lambda: dist.log_prob(params, 0.0), lambda: dist.mean(params)):
    with pytest.raises(ValueError, match='mixture: .* one axis K, got'):
      call()


def test_mixture_refuses_to_draw_from_mixtures():
  params = MixtureParams(jnp.zeros(2), MixtureParams(
      jnp.zeros((2, 3)), NormalParams(jnp.zeros((2, 3)), jnp.ones((2, 3)))))
  with pytest.raises(ValueError, match='mixture: '):
    mixture(mixture(normal)).sample(jax.random.key(0), params, (3,))


def test_mixture_passes_on_what_is_missing():
  dist = mixture(normal._replace(mean=None, cdf=None))
  assert (dist.mean, dist.variance, dist.cdf, dist.entropy) == 4 * (None,)
