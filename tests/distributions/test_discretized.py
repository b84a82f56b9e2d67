"""The laws over the discretized logistic, against sums in float64."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from scipy import stats

from genjax.distributions import independent
from genjax.distributions.discretized import discretized_logistic
from genjax.distributions.discretized import DiscretizedLogisticParams
from tests import laws

_NAN = float('nan')
_RNG = np.random.default_rng(0)


class Levels(NamedTuple):
  """A scipy-like frozen variable on L levels of [-1, 1]."""

  loc: np.ndarray  # [*batch], of the logistic
  scale: np.ndarray
  num: int

  def _each(self):
    """Values [L] and their log-masses [*batch, L]."""
    x = np.linspace(-1, 1, self.num)
    half = 1 / (self.num - 1)
    at = stats.logistic(np.asarray(self.loc)[..., None],
                        np.asarray(self.scale)[..., None])
    low = np.where(x == -1, -np.inf, x - half)
    high = np.where(x == 1, np.inf, x + half)

    def log_difference(a, b):
      return a + np.log1p(-np.exp(b - a))

    with np.errstate(all='ignore'):  # of the tail that is not taken
      nats = np.where(
          low > at.mean(), log_difference(at.logsf(low), at.logsf(high)),
          log_difference(at.logcdf(high), at.logcdf(low)))
    return x, nats

  def logpdf(self, x):
    _, nats = self._each()
    level = np.rint((x + 1) * (self.num - 1) / 2).astype(int)
    index = np.expand_dims(level, -1)
    nats = np.broadcast_to(nats, (*level.shape, self.num))
    return np.take_along_axis(nats, index, -1)[..., 0]

  def cdf(self, x):
    values, nats = self._each()
    return np.sum(np.exp(nats) * (values <= np.asarray(x)[..., None] + 1e-9),
                  -1)

  def ppf(self, q):
    values, nats = self._each()
    below = np.cumsum(np.exp(nats), -1) < np.asarray(q)[..., None]
    return values[np.minimum(np.sum(below, -1), self.num - 1)]

  def median(self):
    return self.ppf(0.5)

  def mean(self):
    values, nats = self._each()
    return np.exp(nats) @ values

  def var(self):
    values, nats = self._each()
    away = values - self.mean()[..., None]
    return np.sum(np.exp(nats) * away**2, -1)

  def std(self):
    return np.sqrt(self.var())

  def entropy(self):
    return stats.entropy(np.exp(self._each()[1]), axis=-1)


def _family(num, loc, scale, event_shape=()):
  dist = discretized_logistic(num)
  params = np.asarray(loc, np.float64), np.asarray(scale, np.float64)
  return laws.Family(
      independent(dist, len(event_shape)) if event_shape else dist, params,
      DiscretizedLogisticParams, lambda *p: Levels(*p, num), event_shape,
      ((0., 0.), (0., -1.), (0., _NAN), (_NAN, 1.)),
      (-1.1, 1.1, 0.001, float('inf')))


_LOC, _SCALE = [[-0.4], [0.9]], [0.02, 0.3, 2.]
SCALAR = {
    'of 256': _family(256, _LOC, _SCALE),
    'of 17': _family(17, [[-0.4], [3.]], _SCALE),
    'of 2': _family(2, _LOC, _SCALE),
}
FAMILIES = {
    'of 256': SCALAR['of 256'],
    'independent_3': _family(256, _RNG.normal(size=(2, 2, 2, 1)),
                             np.exp(_RNG.normal(size=(2, 2, 2, 1))),
                             (2, 2, 1)),
}

each_scalar = pytest.mark.parametrize('name', SCALAR)


@laws.over(FAMILIES, [law for law in laws.LAWS
                      if law is not laws.samples_agree_with_density])
def test_family_keeps(law, family):
  law(family)


@laws.over(SCALAR, [
    laws.log_prob_matches_scipy, laws.log_prob_matches_scipy_in_float32,
    laws.closed_forms_match_scipy, laws.sample_of_bfloat16_is_rounded])
def test_scalar_family_keeps(law, family):
  law(family)


@each_scalar
def test_sample_agrees_with_log_prob(name):
  """Of the levels, as whole numbers."""
  family = SCALAR[name]
  params, top = laws.params_of(family), family.scipy(*family.params).num - 1
  x = jax.jit(family.dist.sample, static_argnums=2)(
      jax.random.key(0), params, (20_000,))
  level = np.rint((np.asarray(x, np.float64) + 1) * top / 2).astype(int)
  nats = jax.jit(family.dist.log_prob)(
      params, jnp.linspace(-1, 1, top + 1)[:, None, None])
  assert np.all(np.abs(x) <= 1)
  for index in np.ndindex(level.shape[1:]):
    p = np.exp(np.asarray(nats, np.float64)[(slice(None), *index)])
    np.testing.assert_allclose(p.sum(), 1, atol=1e-5)  # 256 float32
    draws = level[(slice(None), *index)]
    table = stats.rv_discrete(values=(np.arange(top + 1), p / p.sum()))
    assert laws.chi_square(draws, table) > 1e-4


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_dtype_of_cdf_is_kept(dtype):
  family = SCALAR['of 256']
  cdf = jax.eval_shape(family.dist.cdf, laws.params_of(family, dtype),
                       jnp.zeros((), dtype))
  assert cdf.dtype == dtype


@laws.float64
def test_slopes_in_params_match_differences():
  """Central differences err by the step squared."""
  x = jnp.array([-1., -0.2, 0.6, 1.])
  jax.test_util.check_grads(
      jax.jit(lambda params: discretized_logistic(11).log_prob(params, x)),
      (DiscretizedLogisticParams(0.3, 0.2),), order=1, modes=['rev'], eps=1e-5)


@pytest.mark.parametrize('loc', [-100., 100.])
def test_log_prob_and_slope_are_finite_far_from_all_levels(loc):
  """At 1e4 scales from it the mass of a level is about e^-1e4."""
  dist = discretized_logistic()
  x = np.linspace(-1, 1, 256, dtype=np.float32)

  @jax.jit
  def nats(loc):
    return dist.log_prob(DiscretizedLogisticParams(loc, 0.01), x)

  want = Levels(np.float64(loc), np.float64(np.float32(0.01)), 256)
  np.testing.assert_allclose(nats(loc), want.logpdf(np.asarray(x, np.float64)),
                             rtol=2e-5, atol=1e-12)
  slope = jax.jit(jax.jacfwd(nats))(np.float32(loc))
  assert np.isfinite(slope).all()


def test_log_prob_of_small_and_of_vast_scales_in_float32():
  """Edges are told from the location before either is rounded.

  Of a vast scale s the density is 1 / (4 s) on all inner levels, 2 / 255 wide.
  """
  dist = laws.compiled(discretized_logistic())
  loc, scale = np.float32([0.4321, -0.777]), np.float32([1e-3, 1e-4])
  x = np.linspace(-1, 1, 256)[[20, 30, 180, 183, 200]]
  got = dist.log_prob(DiscretizedLogisticParams(loc, scale), x[:, None])
  want = Levels(np.float64(loc), np.float64(scale), 256).logpdf(
      x[:, None] + np.zeros(2))
  np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-5)
  vast = DiscretizedLogisticParams(0.0, 1e37)
  np.testing.assert_allclose(dist.log_prob(vast, x),
                             np.log(2 / 255 / 4) - 37 * np.log(10), rtol=1e-6)
  far = DiscretizedLogisticParams(1e5, 1e-35)
  assert float(jax.jit(discretized_logistic(4).entropy)(far)) == 0


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('arithmetic', [
    lambda n: n / np.float32(127.5) - 1, lambda n: n * np.float32(2 / 255) - 1,
    lambda n: (n - np.float32(127.5)) / np.float32(127.5)])
def test_log_prob_takes_pixels_as_they_are_rounded(dtype, arithmetic):
  x = jnp.asarray(arithmetic(np.arange(256, dtype=np.float32)), dtype)
  params = DiscretizedLogisticParams(0.1, 0.5)
  nats = jax.jit(discretized_logistic().log_prob)(params, x[:, None, None])
  # Each level once, so that all mass is there; 256 roundings of nats.
  eps = float(jnp.finfo(nats.dtype).eps)
  np.testing.assert_allclose(np.exp(np.asarray(nats, np.float64)).sum(), 1,
                             atol=8 * eps)


def test_cdf_of_any_value_is_that_of_the_level_below():
  """A level in bfloat16, which is rounded by more than float32, counts."""
  dist = laws.compiled(discretized_logistic(5))
  params = DiscretizedLogisticParams(0.1, 0.4)
  x = jnp.array([-1.5, -1., -0.6, 0., 0.4, 0.5, 0.99, 1., 7.])
  edges = np.array([-0.75, -0.25, 0.25, 0.75])
  below = [0, *stats.logistic(0.1, 0.4).cdf(edges), 1]
  want = [below[i] for i in (0, 1, 1, 3, 3, 4, 4, 5, 5)]
  np.testing.assert_allclose(dist.cdf(params, x), want, rtol=1e-5)
  pixels = jnp.asarray(np.linspace(-1, 1, 256), jnp.bfloat16)
  dist = laws.compiled(discretized_logistic())
  np.testing.assert_allclose(
      np.asarray(dist.cdf(params, pixels), np.float32),
      dist.cdf(params, np.linspace(-1, 1, 256, dtype=np.float32)),
      rtol=2.0**-8)


def test_discretized_logistic_refuses_one_level():
  with pytest.raises(ValueError, match='num_levels must be 2 or more, got 1'):
    discretized_logistic(1)
