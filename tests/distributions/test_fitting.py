"""Fits against closed forms and scipy; EM against what it must not lose."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.distributions import bounded
from genjax.distributions import continuous
from genjax.distributions import discrete
from genjax.distributions import fitting
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.multivariate import multivariate_normal
from tests import laws

_RNG = np.random.default_rng(0)
_LABELS = np.repeat([0, 1, 3], [1, 4, 5])

# fit -> (its distribution, data [N], params that scipy or counting gives).
_NORMAL = _RNG.normal(3, 2, 400)
_LAPLACE = _RNG.laplace(-1, 0.5, 401)
_EXPONENTIAL = _RNG.exponential(0.2, 400)
_POISSON = _RNG.poisson(4, 400)
FITS = {
    'normal': (jax.jit(fitting.fit_normal), _NORMAL, stats.norm.fit(_NORMAL)),
    'laplace': (jax.jit(fitting.fit_laplace), _LAPLACE,
                stats.laplace.fit(_LAPLACE)),
    'exponential': (jax.jit(fitting.fit_exponential), _EXPONENTIAL,
                    (1 / stats.expon.fit(_EXPONENTIAL, floc=0)[1],)),
    'poisson': (jax.jit(fitting.fit_poisson), _POISSON, (_POISSON.mean(),)),
    'bernoulli': (jax.jit(fitting.fit_bernoulli), np.repeat([0, 1], [30, 10]),
                  (-np.log(3),)),
    'categorical': (jax.jit(lambda x: fitting.fit_categorical(x, 5)), _LABELS,
                    (np.log([0.1, 0.4, 1e-99, 0.5, 1e-99]),)),
}
DISTS = {name: getattr(module, name) for name in FITS
         for module in (bounded, continuous, discrete) if hasattr(module, name)}


_FIT_VECTORS = jax.jit(fitting.fit_multivariate_normal)
_FIT_MIXTURE = jax.jit(fitting.fit_gaussian_mixture, static_argnames=(
    'num_components', 'num_steps', 'num_restarts'))


@pytest.mark.parametrize('name', FITS)
@laws.float64
def test_fit_is_that_of_scipy(name):
  fit, x, want = FITS[name]
  for got, param in zip(fit(jnp.asarray(x)), want, strict=True):
    np.testing.assert_allclose(np.exp(got), np.exp(param), rtol=1e-9,
                               atol=1e-90)


@pytest.mark.parametrize('name', FITS)
@laws.float64
def test_fit_is_the_likeliest_of_its_neighbours(name):
  fit, x, _ = FITS[name]
  params, x = fit(jnp.asarray(x)), jnp.asarray(x)

  @jax.jit
  def loss(scale, shift):
    moved = jax.tree.map(lambda p: p * scale + shift * jnp.arange(p.size)
                         .reshape(p.shape), params)
    return fitting.maximum_likelihood(DISTS[name])(
        moved, None, {'x': x}, None)[0]

  best = loss(1.0, 0.0)
  for scale, shift in ((1.03, 0), (0.97, 0), (1, 0.03), (1, -0.03)):
    if shift == 0 or name == 'categorical':
      assert best < loss(scale, shift)


@pytest.mark.parametrize('name', FITS)
def test_fit_of_a_batch_is_a_batch_of_fits(name):
  fit, x, _ = FITS[name]
  x = np.stack([np.roll(x, i)[:7] for i in range(6)], 1).reshape(7, 2, 3)
  got = fit(jnp.asarray(x))
  for i, j in np.ndindex(2, 3):
    for leaf, one in zip(got, fit(jnp.asarray(x[:, i, j]))):
      np.testing.assert_allclose(leaf[i, j], one, rtol=1e-6)


# 4003 whole numbers that any dtype holds, more than 16 bits can count.
_WHOLE = {'bernoulli': np.arange(4003) % 3 == 0,
          'categorical': np.arange(4003) % 3}
# What becomes of the params where the unit of the data does: its power.
_POWERS = {'normal': 1, 'laplace': 1, 'exponential': -1}


@pytest.mark.parametrize('dtype', [
    'uint8', 'int32', 'float16', 'bfloat16', 'float32'])
@pytest.mark.parametrize('name', FITS)
def test_fit_is_that_of_the_numbers_whatever_their_type(name, dtype):
  fit, x = FITS[name][0], _WHOLE.get(name, np.arange(4003) % 23)
  known = {'categorical': np.mean(x == 0), 'laplace': np.median(x)}.get(
      name, np.mean(x))
  params = fit(jnp.asarray(x, dtype))
  for got, want in zip(params, fit(jnp.asarray(x, jnp.float32))):
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, want)
  first = np.asarray(jnp.ravel(params[0])[0], np.float64)
  mean = {'exponential': 1 / first, 'bernoulli': 1 / (1 + np.exp(-first)),
          'categorical': np.exp(first)}.get(name, first)
  np.testing.assert_allclose(mean, known, rtol=1e-5)


@pytest.mark.parametrize('name', FITS)
def test_fit_of_nothing_or_of_nan_is_nan(name):
  fit = FITS[name][0]
  for x in (jnp.zeros(0), jnp.array([0.0, jnp.nan, 1.0])):
    for param in fit(x):
      assert np.isnan(param).all()


@pytest.mark.parametrize('unit', [2.0**-66, 2.0**63])
@pytest.mark.parametrize('name', _POWERS)
def test_fit_is_equivariant_to_the_unit(name, unit):
  fit, x, _ = FITS[name]
  x = x.astype(np.float32)
  for got, want in zip(fit(np.float32(unit) * x), fit(x)):
    np.testing.assert_allclose(got, want * unit**_POWERS[name], rtol=1e-6)


def test_fit_categorical_of_a_label_that_is_no_class_is_nan():
  fit = jax.jit(lambda x: fitting.fit_categorical(x, 3))
  for label in (-1, 3):
    params = fit(np.array([[0, 0], [2, label]]))
    assert np.isfinite(params.logits[0, 0]) and np.isnan(params.logits[1]).all()


def test_fit_multivariate_normal_knows_neither_unit_nor_dtype():
  """Axes in units of 1e-20 and 1e19; whole numbers in any dtype."""
  x = np.random.default_rng(0).integers(0, 200, (40, 3))
  want = _FIT_VECTORS(x.astype(np.float32))
  unit = np.float32([2.0**-66, 1, 2.0**63])
  got = _FIT_VECTORS(x.astype(np.float32) * unit)
  np.testing.assert_allclose(got.loc, unit * want.loc, rtol=1e-6)
  np.testing.assert_allclose(got.scale_tril, unit[:, None] * want.scale_tril,
                             rtol=1e-4, atol=0)
  for dtype in ('uint8', 'int32', 'bfloat16'):
    got = _FIT_VECTORS(jnp.asarray(x, dtype))
    np.testing.assert_array_equal(got.scale_tril, want.scale_tril)


@pytest.mark.parametrize('x', [np.eye(3)[:2], np.eye(3), np.zeros((0, 2)),
                               np.ones((5, 2)), [[0, 1], [2, 1], [5, 1]]])
def test_fit_multivariate_normal_is_nan_where_it_is_singular(x):
  params = _FIT_VECTORS(np.asarray(x, np.float32))
  assert np.isnan(params.scale_tril).all()


@laws.float64
def test_fit_multivariate_normal_has_the_moments_of_the_data():
  x = _RNG.normal(size=(50, 3)) @ _RNG.normal(size=(3, 3)) + 1
  params = _FIT_VECTORS(x)
  np.testing.assert_allclose(params.loc, x.mean(0), rtol=1e-12)
  np.testing.assert_allclose(params.scale_tril @ params.scale_tril.T,
                             np.cov(x.T, ddof=0), rtol=1e-12)
  np.testing.assert_array_equal(np.triu(params.scale_tril, 1), 0)


def test_maximum_likelihood_is_the_mean_of_minus_log_prob():
  """Over the batch, of events of any rank; it ignores its key."""
  x = _RNG.normal(size=(9, 2, 3)).astype(np.float32)
  params = continuous.NormalParams(jnp.zeros((2, 3)), 2.0)
  loss, metrics = fitting.maximum_likelihood(independent(
      continuous.normal, 2))(params, None, {'x': x}, None)
  want = -stats.norm(0, 2).logpdf(x).sum((1, 2)).mean()
  np.testing.assert_allclose(loss, want, rtol=1e-6)
  assert metrics == {}


def _clusters(distance, weights=(0.5, 0.3, 0.2), num=3000):
  """Draws from a mixture of three Gaussians: x, labels and its params."""
  rng = np.random.default_rng(1)
  angle = np.arange(3) * 2 * np.pi / 3
  loc = distance * np.stack([np.cos(angle), np.sin(angle)], -1)
  tril = np.array([[[1, 0], [0.5, 0.4]], [[0.3, 0], [0, 1]],
                   [[0.8, 0], [-0.6, 0.5]]])
  label = rng.choice(3, num, p=weights)
  eps = rng.normal(size=(num, 2))
  x = loc[label] + np.einsum('nij,nj->ni', tril[label], eps)
  return x, label, loc, tril @ np.swapaxes(tril, 1, 2)


def _covariances(params):
  tril = np.asarray(params.components.scale_tril)
  return tril @ np.swapaxes(tril, 1, 2)


@laws.float64
def test_fit_gaussian_mixture_recovers_separate_components():
  """To 2 standard errors in the mean square, as a chance of 17 demands.

  So far apart, the answer is that of moments within the true components.
  """
  x, label, loc, covariance = _clusters(20.0)
  params = _FIT_MIXTURE(jax.random.key(0), x, 3, num_steps=20).params
  order = [int(np.argmin(np.sum((params.components.loc - m)**2, -1)))
           for m in loc]
  assert sorted(order) == [0, 1, 2]
  scores = []
  for k, mine in enumerate(order):
    own = x[label == k]
    weight, num = np.exp(params.logits[mine]), len(own)
    np.testing.assert_allclose(weight, num / len(x), rtol=1e-9)
    np.testing.assert_allclose(params.components.loc[mine], own.mean(0),
                               rtol=1e-9)
    got = _covariances(params)[mine]
    np.testing.assert_allclose(got, np.cov(own.T, ddof=0), rtol=1e-9)
    true = (0.5, 0.3, 0.2)[k]
    scores.append((weight - true) / np.sqrt(true * (1 - true) / len(x)))
    scale = np.sqrt(np.diag(covariance[k]))
    scores += list((params.components.loc[mine] - loc[k])
                   / (scale / np.sqrt(num)))
    # Variance of an entry of a sample covariance: (s_ij^2 + s_ii s_jj) / N.
    error = np.sqrt((covariance[k]**2 + np.outer(scale, scale)**2) / num)
    scores += list(((got - covariance[k]) / error)[np.tril_indices(2)])
  assert np.sqrt(np.mean(np.square(scores))) < 2
  assert np.abs(scores).max() < 4


@laws.float64
def test_fit_gaussian_mixture_never_loses_likelihood():
  """Not where components meet, thin out to the floor, or die."""
  line = np.linspace(-1, 1, 100)
  sets = {'overlapping': _clusters(1.0)[0][:400],
          'a line': np.stack([line, line], -1),
          'two points': np.repeat([[0., 0.], [1., 1.]], 50, axis=0)}
  log_prob = jax.jit(mixture(multivariate_normal).log_prob)
  fit = jax.jit(functools.partial(
      fitting.fit_gaussian_mixture, num_components=4, num_steps=60,
      num_restarts=2, min_scale=1e-2))
  for name, x in sets.items():
    params, trace = fit(jax.random.key(0), jnp.asarray(x))
    assert trace.shape == (61,)
    assert np.all(np.diff(trace) > -1e-10), name
    assert trace[-1] > trace[0] or name == 'two points'  # at once at the end
    assert np.all(np.isfinite(params.components.loc)), name
    nats = log_prob(params, x)
    np.testing.assert_allclose(trace[-1], np.mean(nats), rtol=1e-9)
    smallest = np.linalg.eigvalsh(_covariances(params)).min()
    floor = 1e-4 * x.var(0).mean()
    assert smallest > floor * (1 - 1e-6), name
    assert name == 'overlapping' or smallest < floor * (1 + 1e-6), name


def test_fit_gaussian_mixture_never_loses_likelihood_in_single_precision():
  """But for the rounding of a mean of 400 numbers of about 3 nats."""
  x = np.float32(_clusters(1.0)[0][:400])
  fit = _FIT_MIXTURE(jax.random.key(0), x, 4, num_steps=60)
  assert fit.params.components.scale_tril.dtype == jnp.float32
  assert np.diff(fit.log_likelihood).min() > -3e-6


def test_fit_gaussian_mixture_knows_neither_unit_nor_origin():
  """Nor does it ask for points that differ: its log-likelihood is a number.

  Points on a lattice of 1/256, so that what is moved is exact.
  """
  x = jnp.round(256 * _clusters(3.0)[0][:60].astype(np.float32)) / 256
  fit = jax.jit(functools.partial(
      fitting.fit_gaussian_mixture, jax.random.key(0), num_components=3,
      num_steps=5, num_restarts=2))
  want = fit(x)
  for unit, origin in ((2.0**-66, 0), (2.0**63, 0), (1, 4096)):
    got = fit(unit * x + origin)
    np.testing.assert_allclose(
        got.log_likelihood + 2 * np.log(unit), want.log_likelihood, atol=1e-4)
    np.testing.assert_allclose(
        (got.params.components.loc - origin) / unit,
        want.params.components.loc, atol=1e-3)
    np.testing.assert_allclose(
        got.params.components.scale_tril / unit,
        want.params.components.scale_tril, atol=1e-3)
  for value in (0.0, 1.0, 0.1, -1e6):
    same = fit(jnp.full_like(x, value))
    assert np.isfinite(same.log_likelihood).all()
    np.testing.assert_allclose(same.params.components.loc, value, rtol=1e-6)
  assert np.isnan(fit(x.at[3, 0].set(jnp.nan)).log_likelihood).all()


@pytest.mark.parametrize('dtype', ['uint8', 'int32', 'float16', 'bfloat16'])
def test_fit_gaussian_mixture_of_any_dtype_is_in_float32(dtype):
  fit = jax.eval_shape(
      lambda x: fitting.fit_gaussian_mixture(jax.random.key(0), x, 2),
      jax.ShapeDtypeStruct((9, 2), dtype))
  assert {leaf.dtype for leaf in jax.tree.leaves(fit)} == {np.dtype('float32')}


@laws.float64
def test_fit_gaussian_mixture_of_one_component_is_a_gaussian():
  x = _clusters(2.0)[0]
  fit = _FIT_MIXTURE(jax.random.key(0), x, 1, num_steps=2)
  want = _FIT_VECTORS(x)
  for got, expected in zip(fit.params.components, want):
    np.testing.assert_allclose(got[0], expected, rtol=1e-9, atol=1e-12)


def test_fit_gaussian_mixture_starts_from_points_far_apart():
  """k-means++ takes one point of each of 3 tight heaps: almost surely."""
  x, _, loc, _ = _clusters(1000.0)
  fit = _FIT_MIXTURE(jax.random.key(0), x.astype(np.float32), 3, num_steps=0,
                     num_restarts=1)
  assert fit.log_likelihood.shape == (1,)
  near = np.linalg.norm(fit.params.components.loc[:, None] - loc, axis=-1) < 10
  np.testing.assert_array_equal(near.sum(0), 1)


def test_fit_gaussian_mixture_is_no_worse_for_more_restarts():
  """The first keys of a longer split are those of a shorter one."""
  x = jnp.asarray(_clusters(1.5)[0][:300], jnp.float32)
  keys = jax.random.split(jax.random.key(0), 4)

  def ends(num_restarts):
    return jax.jit(jax.vmap(lambda key: fitting.fit_gaussian_mixture(
        key, x, 6, num_steps=15, num_restarts=num_restarts
        ).log_likelihood[-1]))(keys)

  gains = ends(4) - ends(1)
  assert gains.min() >= 0 and gains.max() > 0


@pytest.mark.parametrize('x, num, message', [
    (np.zeros(5), 2, 'x must have 2 axes'),
    (np.zeros((5, 2)), 6, 'x must hold a point for each of 6 components'),
    (np.zeros((5, 2)), 0, 'num_components must be positive')])
def test_fit_gaussian_mixture_says_what_is_wrong(x, num, message):
  with pytest.raises(ValueError, match='fit_gaussian_mixture: ' + message):
    fitting.fit_gaussian_mixture(jax.random.key(0), jnp.asarray(x), num)
