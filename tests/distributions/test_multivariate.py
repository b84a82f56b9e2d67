"""Families of vectors: the laws where entries are independent, and beyond."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg
from scipy import special
from scipy import stats

from genjax.distributions.multivariate import dirichlet
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.multivariate import low_rank_normal
from genjax.distributions.multivariate import LowRankNormalParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from tests import laws

_NAN, _INF = float('nan'), float('inf')
_RNG = np.random.default_rng(0)
_BAD = ((0., 0.), (0., -1.), (0., _NAN), (0., _INF), (_NAN, 1.), (_INF, 1.))


def _diagonal(loc, scale):
  """What is above the diagonal is not read."""
  eye = jnp.eye(scale.shape[-1], dtype=scale.dtype)
  return MultivariateNormalParams(
      loc, scale[..., None] * eye + jnp.triu(9 * jnp.ones_like(eye), 1))


def _no_factor(loc, scale):
  return LowRankNormalParams(
      loc, jnp.zeros((*loc.shape, 2), loc.dtype), scale)


def _row(dist, make):
  return laws.Family(dist, (_RNG.normal(size=(3, 2)),
                            np.exp(_RNG.normal(size=(3, 2)))),
                     make, stats.norm, (2,), _BAD)


FAMILIES = {
    'multivariate_normal': _row(multivariate_normal, _diagonal),
    'low_rank_normal': _row(low_rank_normal, _no_factor),
}
DISTS = {'multivariate_normal': laws.compiled(multivariate_normal),
         'low_rank_normal': laws.compiled(low_rank_normal),
         'dirichlet': laws.compiled(dirichlet)}
DIRICHLET = DISTS['dirichlet']

each_dist = pytest.mark.parametrize('name', DISTS)


@laws.over(FAMILIES, (*laws.LAWS, laws.closed_forms_match_scipy))
def test_family_keeps(law, family):
  law(family)


def _params(name: str, dtype=float):
  """Batches [2, 3] that broadcast, of vectors of 4."""
  rng = np.random.default_rng(1)
  loc = np.asarray(rng.normal(size=(3, 4)), dtype)
  positive = np.asarray(np.exp(rng.normal(size=(2, 3, 4))), dtype)
  if name == 'dirichlet':
    return DirichletParams(positive)
  if name == 'low_rank_normal':
    factor = np.asarray(rng.normal(size=(3, 4, 2)), dtype)
    return LowRankNormalParams(loc, factor, positive[:, :1])
  lower = np.asarray(np.tril(rng.normal(size=(2, 1, 4, 4)), -1), dtype)
  return MultivariateNormalParams(
      loc, lower + positive[:, :1, None] * np.eye(4, dtype=dtype))


def _covariances(params) -> np.ndarray:
  if isinstance(params, LowRankNormalParams):
    factor, scale = np.asarray(params.factor), np.asarray(params.scale)
    eye = np.eye(scale.shape[-1])
    return factor @ factor.swapaxes(-1, -2) + scale[..., None]**2 * eye
  tril = np.asarray(params.scale_tril)
  return tril @ tril.swapaxes(-1, -2)


def _scipy(name: str):
  """Frozen scipy distributions, [2, 3]."""
  params = _params(name)
  frozen = np.empty((2, 3), object)
  for index in np.ndindex(2, 3):
    if name == 'dirichlet':
      frozen[index] = stats.dirichlet(params.concentration[index])
    else:
      covariance = np.broadcast_to(_covariances(params), (2, 3, 4, 4))
      frozen[index] = stats.multivariate_normal(
          params.loc[index[1]], covariance[index])
  return frozen


def _each(frozen, f) -> np.ndarray:
  return np.array([[f(one, i, j) for j, one in enumerate(row)]
                   for i, row in enumerate(frozen)])


@each_dist
@laws.float64
def test_every_function_matches_scipy_in_batches_that_broadcast(name):
  """scipy factors the covariance by eigenvalues: good to some 1e-13."""
  dist, params, frozen = DISTS[name], _params(name), _scipy(name)
  x = dist.sample(jax.random.key(0), params, (5,))
  assert x.shape == (5, 2, 3, 4)
  got = dist.log_prob(params, x)
  want = _each(frozen, lambda one, i, j: [
      one.logpdf(row / row.sum() if name == 'dirichlet' else row)
      for row in np.asarray(x[:, i, j])])
  np.testing.assert_allclose(got, np.moveaxis(want, -1, 0), rtol=1e-10)
  np.testing.assert_allclose(
      dist.entropy(params), _each(frozen, lambda one, i, j: one.entropy()),
      rtol=1e-10)
  if name == 'dirichlet':
    mean = _each(frozen, lambda one, i, j: one.mean())
    variance = _each(frozen, lambda one, i, j: one.var())
  else:
    mean = np.broadcast_to(params.loc, (2, 3, 4))
    variance = _each(frozen, lambda one, i, j: np.diag(one.cov))
  np.testing.assert_allclose(dist.mean(params), mean, rtol=1e-10)
  np.testing.assert_allclose(dist.variance(params), variance, rtol=1e-10)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float64])
@each_dist
def test_dtype_is_kept(name, dtype):
  dist = DISTS[name]
  with jax.enable_x64(dtype == jnp.float64):
    params = _params(name, dtype)
    x = jax.eval_shape(dist.sample, jax.random.key(0), params)
    assert x.dtype == dtype
    assert jax.eval_shape(dist.log_prob, params, x).dtype == dtype
    for f in dist.mean, dist.variance, dist.entropy:
      assert jax.eval_shape(f, params).dtype == dtype


@pytest.mark.parametrize('name', FAMILIES)
def test_sample_has_the_correlations_of_the_density(name):
  """Draws whitened by the covariance are independent and standard."""
  params = _params(name, jnp.float32)
  if name == 'low_rank_normal':
    params = LowRankNormalParams(
        params.loc[0], params.factor[0], params.scale[0, 0])
  else:
    params = MultivariateNormalParams(params.loc[0], params.scale_tril[0, 0])
  # One draw a key: noises of one key would be alike within a draw.
  x = jax.jit(jax.vmap(DISTS[name].sample, (0, None)))(
      jax.random.split(jax.random.key(0), 25_000), params)
  chol = np.linalg.cholesky(_covariances(params))
  z = linalg.solve_triangular(chol, np.asarray(x - params.loc).T, lower=True)
  assert stats.kstest(z.ravel(), 'norm').pvalue > 1e-4
  # A sample correlation is normal with standard deviation 1 / sqrt(N).
  assert np.abs(np.corrcoef(z) - np.eye(4)).max() < 5 / np.sqrt(25_000)


@laws.float64
def test_multivariate_normal_is_right_where_the_covariance_is_singular_almost():
  """Condition number 1e8, against substitution in rational numbers."""
  basis, _ = np.linalg.qr(_RNG.normal(size=(8, 8)))
  tril = np.linalg.cholesky(basis @ np.diag(np.geomspace(1, 1e-8, 8)) @ basis.T)
  # Typical draws, and points where the small directions rule.
  x = np.concatenate([_RNG.normal(size=(4, 8)) @ tril.T,
                      _RNG.normal(size=(4, 8))])
  squared = []
  for point in x:
    z: list[Fraction] = []
    for row, entry in zip(tril, point):
      known = sum((Fraction(a) * b for a, b in zip(row, z)), Fraction(0))
      z.append((Fraction(entry) - known) / Fraction(row[len(z)]))
    squared.append(float(sum(entry**2 for entry in z)))
  want = (-0.5 * np.array(squared) - np.log(np.diag(tril)).sum()
          - 4 * np.log(2 * np.pi))
  got = DISTS['multivariate_normal'].log_prob(
      MultivariateNormalParams(np.zeros(8), tril), x)
  np.testing.assert_allclose(got, want, rtol=1e-10)


@laws.float64
def test_low_rank_normal_is_right_where_the_factor_dwarfs_the_diagonal():
  """(F F^T) / scale^2 = 1e12, against the lemmas in rational numbers."""
  factor, scale = _RNG.normal(size=6), 1e-6 * np.exp(_RNG.normal(size=6))
  x = 0.7 * factor + scale * _RNG.normal(size=6)
  u = [Fraction(a) / Fraction(b) for a, b in zip(x, scale)]
  w = [Fraction(a) / Fraction(b) for a, b in zip(factor, scale)]
  determinant = 1 + sum(b * b for b in w)
  squared = (sum(a * a for a in u)
             - sum(a * b for a, b in zip(u, w))**2 / determinant)
  want = (-0.5 * float(squared) - np.log(scale).sum()
          - 0.5 * np.log(float(determinant)) - 3 * np.log(2 * np.pi))
  params = LowRankNormalParams(np.zeros(6), factor[:, None], scale)
  # Residuals of size 1 of entries of size 1e6 keep ten digits.
  np.testing.assert_allclose(DISTS['low_rank_normal'].log_prob(params, x),
                             want, rtol=1e-8)


def test_low_rank_normal_forms_no_matrix_of_all_pairs():
  params = LowRankNormalParams(
      jnp.zeros(1000), jnp.ones((1000, 3)), jnp.ones(1000))

  def sizes(f, *args):
    jaxpr = jax.make_jaxpr(f)(*args)
    return [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]

  key, dist = jax.random.key(0), low_rank_normal
  assert max(sizes(dist.log_prob, params, jnp.zeros(1000))) < 10_000
  assert max(sizes(dist.sample, key, params)) < 10_000
  assert max(sizes(dist.entropy, params)) < 10_000


def test_dirichlet_log_prob_keeps_its_digits_in_float32():
  """Up to concentrations of 1e4, at draws rounded onto the simplex."""
  c = jnp.asarray([[0.3, 0.5, 1.0], [14., 16., 3.], [1e4, 2e3, 5e3]])
  x = DIRICHLET.sample(jax.random.key(0), DirichletParams(c), (20,))
  got = DIRICHLET.log_prob(DirichletParams(c), x)
  wide, x = np.asarray(c, float), np.asarray(x, float)
  x /= x.sum(-1, keepdims=True)
  want = (special.gammaln(wide.sum(-1)) - special.gammaln(wide).sum(-1)
          + special.xlogy(wide - 1, x).sum(-1))
  # A share errs by a rounding, which the density of 1e4 feels 100 times more.
  np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-4)


def test_dirichlet_marginals_are_beta():
  c = np.array([0.05, 0.5, 1.0, 3.0])
  x = DIRICHLET.sample(jax.random.key(0), DirichletParams(c), (25_000,))
  np.testing.assert_allclose(x.sum(-1), 1, atol=1e-6)
  for share, one in zip(np.asarray(x).T, c):
    if one > 0.1:  # the others underflow to zero, and tie
      frozen = stats.beta(one, c.sum() - one)
      assert stats.kstest(share, frozen.cdf).pvalue > 1e-4


@pytest.mark.parametrize('concentration', [1e-30, 1e-3, 1e6])
def test_dirichlet_draws_are_on_the_simplex_at_any_concentration(concentration):
  params = DirichletParams(jnp.full(3, concentration))
  x = DIRICHLET.sample(jax.random.key(0), params, (100,))
  np.testing.assert_allclose(x.sum(-1), 1, atol=1e-6)
  assert not np.isnan(DIRICHLET.log_prob(params, x)).any()


@laws.float64
def test_dirichlet_at_the_border_of_the_simplex():
  """scipy's values at zero shares, and the limit where it has none."""
  params = DirichletParams(jnp.asarray([1.0, 2.0, 3.0]))
  x = jnp.asarray([[0, .4, .6], [.4, 0, .6], [-.1, .5, .6], [.5, .4, .2],
                   [1.5, -.5, 0], [_NAN, .4, .6], [.2, .3, .5 + 1e-9]])
  frozen = stats.dirichlet([1, 2, 3])
  want = [frozen.logpdf([0, .4, .6]), -_INF, -_INF, -_INF, -_INF, _NAN,
          frozen.logpdf([.2, .3, .5])]
  np.testing.assert_allclose(DIRICHLET.log_prob(params, x), want, rtol=1e-8)
  sparse = DirichletParams(jnp.asarray([0.5, 2.0]))
  assert DIRICHLET.log_prob(sparse, jnp.asarray([0., 1.])) == _INF


def test_dirichlet_integrates_to_one():
  """Of three shares, by the midpoint rule on the triangle of the first two."""
  side = (np.arange(400) + 0.5) / 400
  a, b = np.meshgrid(side, side)
  inside = a + b < 1
  x = np.stack([a, b, np.where(inside, 1 - a - b, 0.5)], -1).astype(np.float32)
  params = DirichletParams(jnp.asarray([2.0, 3.0, 2.5]))
  nats = np.asarray(DIRICHLET.log_prob(params, jnp.asarray(x)))
  assert (nats[a + b > 1.01] == -_INF).all()
  total = np.exp(nats, where=inside, out=np.zeros_like(nats)).mean()
  np.testing.assert_allclose(total, 1, atol=1e-3)


def test_dirichlet_bad_params_give_nan():
  c = jnp.asarray([[1., 2.], [0., 1.], [-1., 1.], [_NAN, 1.], [_INF, 1.]])
  params = DirichletParams(c)
  bad = [False, True, True, True, True]
  x = DIRICHLET.sample(jax.random.key(0), params)
  np.testing.assert_array_equal(np.isnan(x), np.stack([bad, bad], -1))
  for x in [0.25, 0.75], [2.0, -1.0], [0.0, 1.0]:
    nats = DIRICHLET.log_prob(params, jnp.asarray(x))
    np.testing.assert_array_equal(np.isnan(nats), bad)
  np.testing.assert_array_equal(np.isnan(DIRICHLET.entropy(params)), bad)


@laws.float64
def test_dirichlet_gradients_match_differences():
  c, x = jnp.asarray([0.5, 20.0, 3.0]), jnp.asarray([0.1, 0.6, 0.3])
  direction = jnp.asarray([1.0, -2.0, 1.0])  # stays on the simplex
  jax.test_util.check_grads(
      jax.jit(lambda c, t: dirichlet.log_prob(
          DirichletParams(c), x + t * direction)),
      (c, 0.0), order=1, modes=['rev'], eps=1e-5)


@pytest.mark.parametrize('dist, params', [
    (multivariate_normal, MultivariateNormalParams(jnp.ones(3), jnp.eye(2))),
    (multivariate_normal, MultivariateNormalParams(1.0, jnp.eye(2))),
    (multivariate_normal, MultivariateNormalParams(jnp.ones(2), 1.0)),
    (low_rank_normal, LowRankNormalParams(
        jnp.ones(3), jnp.ones((2, 1)), jnp.ones(3))),
    (low_rank_normal, LowRankNormalParams(
        jnp.ones(3), jnp.ones((3, 1)), 1.0)),
    (dirichlet, DirichletParams(1.0)),
    (dirichlet, DirichletParams(jnp.ones((3, 0)))),
])
def test_shapes_that_do_not_fit_are_refused(dist, params):
  with pytest.raises(ValueError, match=r'must be \[\.\.\., [DK]\]'):
    dist.sample(jax.random.key(0), params)
  with pytest.raises(ValueError, match=r'must be \[\.\.\., [DK]\]'):
    dist.log_prob(params, jnp.ones(3))


@each_dist
@pytest.mark.parametrize('shape', [(), (1,), (4, 1), (3,)])
def test_points_that_are_no_vectors_of_the_event_are_refused(name, shape):
  """They would be broadcast to vectors, and scored as these."""
  with pytest.raises(ValueError, match=name + r': x must be \[\.\.\., 4\]'):
    jax.eval_shape(DISTS[name].log_prob, _params(name), jnp.zeros(shape))


@each_dist
def test_event_ndims_is_one(name):
  assert DISTS[name].event_ndims == 1
