"""What combinators make of distributions keeps the laws of distributions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.distributions import bijectors
from genjax.distributions.bijectors import AffineParams
from genjax.distributions.bijectors import Bijector
from genjax.distributions.bounded import gamma
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import uniform
from genjax.distributions.bounded import UniformParams
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.combinators import reparameterize
from genjax.distributions.combinators import transformed
from genjax.distributions.combinators import TransformedParams
from genjax.distributions.continuous import logistic
from genjax.distributions.continuous import LogisticParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from tests import laws

_NAN, _INF = float('nan'), float('inf')
_RNG = np.random.default_rng(0)
_BAD = ((0., 0.), (0., -1.), (0., _NAN), (_NAN, 1.))
_WEIGHTS = np.array([0.2, 0.5, 0.3])

# The exponential of vectors: an elementwise map, but of rank 1.
_EXP_OF_VECTORS = Bijector(
    bijectors.exp.forward, bijectors.exp.inverse,
    lambda params, x: jnp.sum(x, axis=-1), event_ndims=1)


def _lognormal(loc, scale):
  return stats.lognorm(scale, scale=np.exp(loc))


def _components(loc, scale):
  """Three normals [3, *batch] for each location and scale."""
  return (loc + scale * np.array([-3., 0., 2.]).reshape(3, *loc.ndim * [1]),
          scale * np.array([1., .5, 2.]).reshape(3, *loc.ndim * [1]))


def _mixture_params(loc, scale):
  logits = np.log(_WEIGHTS) + 7  # only their differences count
  return jax.tree.map(
      lambda leaf: jnp.asarray(leaf, loc.dtype),
      MixtureParams(logits, NormalParams(*_components(loc, scale))))


class _Mixture(NamedTuple):
  """scipy's side of `_mixture_params`, by hand."""

  loc: np.ndarray
  scale: np.ndarray

  def _each(self):
    loc, scale = _components(np.asarray(self.loc), np.asarray(self.scale))
    return zip(_WEIGHTS, map(stats.norm, loc, scale))

  def cdf(self, x):
    return sum(w * one.cdf(x) for w, one in self._each())

  def logpdf(self, x):
    return special.logsumexp(
        [np.log(w) + one.logpdf(x) for w, one in self._each()], axis=0)

  def ppf(self, q):
    """By bisection, between the least and the greatest of the components."""
    ends = [one.ppf(q) for _, one in self._each()]
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    for _ in range(60):
      middle = (low + high) / 2
      below = self.cdf(middle) < q
      low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high

  def median(self):
    return self.ppf(0.5)

  def mean(self):
    return sum(w * one.mean() for w, one in self._each())

  def var(self):
    second = sum(w * (one.var() + one.mean()**2) for w, one in self._each())
    return second - self.mean()**2

  def std(self):
    return np.sqrt(self.var())


def _row(dist, make, scipy, event_shape=(), outside=()):
  params = (_RNG.normal(size=(2, 3) if not event_shape else (2, *event_shape)),)
  params += (np.exp(_RNG.normal(size=params[0].shape)),)
  return laws.Family(dist, params, make, scipy, event_shape, _BAD, outside)


def _exp_of(dist, bijector, event_shape=()):
  return _row(transformed(dist, bijector),
              lambda *p: TransformedParams(NormalParams(*p), ()),
              _lognormal, event_shape, (-1., 0., _INF))


# Location and scale belong to the bijector: the base has neither their batch
# nor, where vectors are summed, their event.
_OF_BIJECTOR = (
    lambda loc, scale: TransformedParams(
        NormalParams(jnp.zeros((), loc.dtype), 1.0),
        (AffineParams(loc, scale), ())), _lognormal)

FAMILIES = {
    'transformed, ranks 0 and 0': _exp_of(normal, bijectors.exp),
    'transformed, ranks 0 and 1': _exp_of(normal, _EXP_OF_VECTORS, (3,)),
    'transformed, ranks 3 and 0': _exp_of(
        independent(normal, 3), bijectors.exp, (2, 2, 1)),
    'transformed, ranks 3 and 1': _exp_of(
        independent(normal, 3), _EXP_OF_VECTORS, (1, 2, 2)),
    'transformed, params of the bijector': _row(
        transformed(normal, bijectors.chain(bijectors.affine, bijectors.exp)),
        *_OF_BIJECTOR, (), (-1., 0., _INF))._replace(
            bad=((0., 0.), (0., _NAN), (_NAN, 1.))),
    'mixture': _row(mixture(normal), _mixture_params, _Mixture),
    'mixture, independent in 3': _row(
        independent(mixture(normal), 3), _mixture_params, _Mixture, (2, 2, 1)),
    'reparameterize': _row(
        reparameterize(normal, lambda p: NormalParams(p[0], jnp.exp(p[1]))),
        lambda loc, scale: (loc, jnp.log(scale)), stats.norm),
    'reparameterize, rank 3': _row(
        reparameterize(independent(normal, 3),
                       lambda p: NormalParams(p[0], jnp.exp(p[1]))),
        lambda loc, scale: (loc, jnp.log(scale)), stats.norm, (2, 2, 1)),
}


@laws.over(FAMILIES)
def test_family_keeps(law, family):
  law(family)


@laws.over({name: FAMILIES[name] for name in ('mixture', 'reparameterize')},
           [laws.closed_forms_match_scipy, laws.gradients_match_differences])
def test_family_with_closed_forms_keeps(law, family):
  law(family)


def test_slopes_of_transformed_match_differences():
  laws.gradients_match_differences(FAMILIES['transformed, ranks 0 and 1'])


@pytest.mark.parametrize('make', [
    lambda base: mixture(base), lambda base: transformed(base, bijectors.exp),
    lambda base: reparameterize(base, lambda p: p),
    lambda base: independent(base, 2),
], ids=['mixture', 'transformed', 'reparameterize', 'independent'])
def test_the_kind_of_density_is_that_of_the_base(make):
  assert make(normal._replace(density='estimate')).density == 'estimate'


def test_independent_sums_the_axes_of_the_event():
  loc = jnp.arange(24.).reshape(2, 3, 4)
  params = NormalParams(loc, jnp.ones_like(loc))
  x = loc + 0.5
  plain, images = map(laws.compiled, (normal, independent(normal, 2)))
  np.testing.assert_allclose(
      images.log_prob(params, x), plain.log_prob(params, x).sum((1, 2)),
      rtol=1e-6)
  np.testing.assert_allclose(
      images.entropy(params), plain.entropy(params).sum((1, 2)), rtol=1e-6)
  np.testing.assert_array_equal(images.mean(params), loc)
  np.testing.assert_array_equal(images.variance(params), jnp.ones_like(loc))
  assert images.cdf is None


def test_independent_draws_what_its_base_draws():
  params = NormalParams(jnp.zeros((2, 3)), jnp.ones(3))
  key = jax.random.key(0)
  np.testing.assert_array_equal(
      laws.compiled(independent(normal, 1)).sample(key, params, (4,)),
      laws.compiled(normal).sample(key, params, (4,)))


@pytest.mark.parametrize('call', [
    lambda d, p: d.log_prob(p, jnp.zeros(3)),
    lambda d, p: d.sample(jax.random.key(0), p, (5, 5)),
    lambda d, p: d.entropy(p),
])
def test_independent_refuses_params_without_the_axes_of_the_event(call):
  params = NormalParams(jnp.zeros(3), jnp.ones(3))
  with pytest.raises(ValueError, match='independent: .* 2 or more'):
    call(independent(normal, 2), params)


def test_independent_refuses_less_than_no_axes():
  with pytest.raises(ValueError, match='independent: ndims must be 0 or more'):
    independent(normal, -1)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_sums_are_not_taken_in_16_bits(dtype):
  """A sum of ones in bfloat16 ends at 256: log 256 where log 1000 is right."""
  loc = jnp.zeros(1000, dtype)
  params = NormalParams(loc, jnp.ones_like(loc))
  want = -0.5 * np.log(2 * np.pi)
  dist = mixture(normal)
  params = MixtureParams(loc, params)
  nats = dist.log_prob(params, jnp.zeros((), dtype))
  assert nats.dtype == dist.variance(params).dtype == dtype
  rtol = float(jnp.finfo(dtype).eps)
  np.testing.assert_allclose(np.float32(nats), want, rtol=rtol)
  np.testing.assert_allclose(np.float32(dist.variance(params)), 1, rtol=rtol)
  nats = independent(normal, 1).log_prob(params.components, loc)
  np.testing.assert_allclose(np.float32(nats), 1000 * want, rtol=rtol)


def test_independent_adds_to_the_rank_and_passes_on_what_is_missing():
  images = independent(independent(normal, 1)._replace(entropy=None), 2)
  assert images.event_ndims == 3 and images.entropy is None


def test_transformed_logistic_by_the_sigmoid_is_uniform():
  dist = laws.compiled(transformed(logistic, bijectors.sigmoid))
  params = TransformedParams(LogisticParams(0.0, 1.0), ())
  x = np.float32([-1.0, 0.0, 1e-30, 0.3, 0.999, 1.0, 2.0])
  inside = (x > 0) & (x < 1)
  want = jax.jit(uniform.log_prob)(UniformParams(0.0, 1.0), x)
  np.testing.assert_allclose(
      dist.log_prob(params, x), np.where(inside, want, -_INF), atol=1e-5)
  draws = dist.sample(jax.random.key(0), params, (10_000,))
  assert stats.kstest(draws, 'uniform').pvalue > 1e-4


def test_transformed_gradients_are_finite_outside_of_the_range():
  dist = transformed(normal, bijectors.exp)
  params = TransformedParams(NormalParams(0.0, 1.0), ())
  grads = jax.jit(jax.grad(dist.log_prob, argnums=(0, 1)))
  for x in -1.0, 0.0, _INF:
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads(params, x)))


def test_transformed_refuses_noise_that_members_would_share():
  dist = transformed(normal, bijectors.affine)
  params = TransformedParams(
      NormalParams(jnp.zeros((1, 3)), 1.0), AffineParams(jnp.zeros((2, 3)), 1.))
  with pytest.raises(ValueError, match=r'transformed: .* \(2, 3\)'):
    dist.sample(jax.random.key(0), params)


def test_reparameterize_has_all_that_its_base_has():
  plain, dist = map(laws.compiled, (gamma, reparameterize(
      gamma, lambda p: GammaParams(jnp.exp(p), 2.0))))
  p, base = jnp.asarray([-1.0, 3.0]), GammaParams(jnp.exp(jnp.asarray(
      [-1.0, 3.0])), 2.0)
  for name in 'mean', 'variance', 'entropy':
    np.testing.assert_array_equal(
        getattr(dist, name)(p), getattr(plain, name)(base))
  np.testing.assert_array_equal(dist.cdf(p, 0.7), plain.cdf(base, 0.7))
  missing = reparameterize(normal._replace(cdf=None), lambda p: p)
  assert missing.cdf is None
