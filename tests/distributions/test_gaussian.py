"""Gaussian algebra against the other form of each result, and quadrature.

The code works on covariances; the oracles on their inverses, in numpy.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy import stats

from genjax.distributions import gaussian
from genjax.distributions.gaussian import GaussianParams
from genjax.distributions.multivariate import multivariate_normal
from tests import laws

B, D, E = 3, 4, 2
KNOWN, REST = (3, 1), (0, 2)

# Condition numbers here are below 1e3, so that both sides keep 12 digits.
close = functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-10)


def _draw(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape)


def _gaussian(seed, dim=D, batch=(B,)):
  root = _draw(seed, *batch, dim, dim)
  return GaussianParams(_draw(seed + 100, *batch, dim),
                        root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(dim))


def _close(got: GaussianParams, mean, cov):
  close(got.mean, mean)
  close(got.cov, cov)
  np.testing.assert_array_equal(got.cov, np.swapaxes(got.cov, -1, -2))


def _apply(matrix, x):
  return (matrix @ x[..., None])[..., 0]


def _logpdf(p: GaussianParams, x):
  """By scipy, one member of the batch at a time."""
  return np.stack([stats.multivariate_normal(m, c).logpdf(v)
                   for m, c, v in zip(p.mean, p.cov, x)])


# Each as one program: these tests take the time of compiling.
add, affine, posterior, product, to_multivariate_normal = map(jax.jit, (
    gaussian.add, gaussian.affine, gaussian.posterior, gaussian.product,
    gaussian.to_multivariate_normal))
conditional, marginal = (functools.partial(jax.jit, static_argnums=1)(f)
                         for f in (gaussian.conditional, gaussian.marginal))

P, Q, NOISE = _gaussian(0), _gaussian(1), _gaussian(2, E)
MATRIX, SHIFT, Y = _draw(3, B, E, D), _draw(4, B, E), _draw(5, B, E)
_KNOWN_BLOCK = P.cov[:, np.array(KNOWN)[:, None], KNOWN]


@laws.float64
def test_to_multivariate_normal_gives_the_density_and_the_moments():
  params = to_multivariate_normal(P)
  x = _draw(6, B, D)
  close(multivariate_normal.log_prob(params, x), _logpdf(P, x))
  close(multivariate_normal.mean(params), P.mean)
  close(multivariate_normal.variance(params),
        np.diagonal(P.cov, axis1=1, axis2=2))


@laws.float64
def test_affine_maps_every_weighted_sum():
  """The variance of w.(A x + b) is that of (A^T w).x."""
  got = affine(P, MATRIX, SHIFT)
  pulled = np.einsum('bed,e->bd', MATRIX, np.ones(E))
  close(got.mean.sum(-1), np.sum(pulled * P.mean, -1) + SHIFT.sum(-1))
  close(got.cov.sum((-2, -1)),
        np.einsum('bi,bij,bj->b', pulled, P.cov, pulled))
  back = affine(
      affine(P, 2 * np.eye(D), np.ones(D)),
      0.5 * np.eye(D), -0.5 * np.ones(D))
  _close(back, P.mean, P.cov)


def test_affine_has_the_moments_of_mapped_draws():
  """1e5 draws: entries within 5 standard errors."""
  p = jax.tree.map(lambda a: jnp.asarray(a[0], jnp.float32), P)
  x = multivariate_normal.sample(
      jax.random.key(0), to_multivariate_normal(p), (100_000,))
  y = np.asarray(x) @ MATRIX[0].T + SHIFT[0]
  mean, cov = affine(p, MATRIX[0], SHIFT[0])
  var = np.diag(cov)
  assert np.all(np.abs(y.mean(0) - mean) < 5 * np.sqrt(var / 1e5))
  error = np.sqrt((np.outer(var, var) + np.square(cov)) / 1e5)
  assert np.all(np.abs(np.cov(y.T) - cov) < 5 * error)


@laws.float64
def test_add_is_one_gaussian_of_the_root_of_squares():
  """The lecture's s eps_1 + t eps_2 = sqrt(s^2 + t^2) eps."""
  scales = (3.0, 4.0)
  total = add(
      *(GaussianParams(np.zeros(1), np.full((1, 1), s**2)) for s in scales))
  close(to_multivariate_normal(total).scale_tril, [[5.0]])


@laws.float64
def test_add_is_the_image_of_the_pair():
  zeros = np.zeros((B, D, D))
  pair = GaussianParams(np.concatenate([P.mean, Q.mean], -1),
                        np.block([[P.cov, zeros], [zeros, Q.cov]]))
  image = affine(pair, np.block([np.eye(D), np.eye(D)]), np.zeros(D))
  _close(add(P, Q), *image)


@laws.float64
def test_product_adds_precisions():
  inverse_p, inverse_q = np.linalg.inv(P.cov), np.linalg.inv(Q.cov)
  cov = np.linalg.inv(inverse_p + inverse_q)
  weighted = _apply(inverse_p, P.mean) + _apply(inverse_q, Q.mean)
  got, log_z = product(P, Q)
  _close(got, _apply(cov, weighted), cov)
  # log p + log q = log Z + log of the product's density, at any x.
  x = _draw(7, B, D)
  close(log_z, _logpdf(P, x) + _logpdf(Q, x)
        - _logpdf(GaussianParams(_apply(cov, weighted), cov), x))


@laws.float64
def test_product_commutes():
  chex.assert_trees_all_close(
      product(P, Q), product(Q, P), rtol=1e-10, atol=1e-10)


@laws.float64
def test_product_of_one_with_a_batch_equals_that_of_its_copies():
  one = jax.tree.map(lambda a: a[0], P)
  copies = jax.tree.map(lambda a: np.stack([a] * B), one)
  chex.assert_trees_all_close(
      product(one, Q), product(copies, Q),
      rtol=1e-10, atol=1e-10)


@laws.float64
def test_product_integrates_to_z():
  p, q = _gaussian(8, 1, ()), _gaussian(9, 1, ())
  densities = [stats.norm(g.mean[0], np.sqrt(g.cov[0, 0])) for g in (p, q)]
  z, _ = integrate.quad(
      lambda x: densities[0].pdf(x) * densities[1].pdf(x), -30, 30,
      epsabs=0, epsrel=1e-12, limit=200)
  close(product(p, q)[1], np.log(z))


@laws.float64
def test_marginal_selects_in_the_order_asked():
  got = marginal(P, KNOWN)
  _close(got, P.mean[:, [3, 1]],
         np.stack([[[c[3, 3], c[3, 1]], [c[1, 3], c[1, 1]]] for c in P.cov]))


@laws.float64
def test_conditional_is_a_block_of_the_precision():
  precision = np.linalg.inv(P.cov)
  rows = np.array(REST)[:, None]
  cov = np.linalg.inv(precision[:, rows, REST])
  away = Y - P.mean[:, KNOWN]
  mean = P.mean[:, REST] - _apply(cov @ precision[:, rows, KNOWN], away)
  _close(conditional(P, KNOWN, Y), mean, cov)


@laws.float64
def test_conditional_times_marginal_is_the_joint():
  x = _draw(10, B, D)
  seen = marginal(P, KNOWN)
  rest = conditional(P, KNOWN, x[:, KNOWN])
  close(_logpdf(seen, x[:, KNOWN]) + _logpdf(rest, x[:, REST]), _logpdf(P, x))


@laws.float64
def test_conditional_broadcasts_values_against_one_gaussian():
  one = jax.tree.map(lambda a: a[0], P)
  got = conditional(one, KNOWN, Y)
  assert got.mean.shape == (B, 2) and got.cov.shape == (2, 2)
  for i in range(B):
    _close(conditional(one, KNOWN, Y[i]), got.mean[i], got.cov)


@laws.float64
def test_posterior_adds_information():
  weight = np.swapaxes(MATRIX, -1, -2) @ np.linalg.inv(NOISE.cov)
  cov = np.linalg.inv(np.linalg.inv(P.cov) + weight @ MATRIX)
  mean = _apply(cov, _apply(np.linalg.inv(P.cov), P.mean)
                + _apply(weight, Y - SHIFT))
  got, nats = posterior(P, MATRIX, SHIFT, NOISE.cov, Y)
  _close(got, mean, cov)
  # Bayes' rule itself, at any x: prior x likelihood = evidence x posterior.
  x = _draw(11, B, D)
  likelihood = _logpdf(
      GaussianParams(_apply(MATRIX, x) + SHIFT, NOISE.cov), Y)
  close(nats, _logpdf(P, x) + likelihood
        - _logpdf(GaussianParams(mean, cov), x))


@laws.float64
def test_posterior_is_the_conditional_of_the_joint():
  cross = MATRIX @ P.cov
  seen = add(affine(P, MATRIX, SHIFT),
                      NOISE._replace(mean=np.zeros((B, E))))
  joint = GaussianParams(
      np.concatenate([P.mean, seen.mean], -1),
      np.block([[P.cov, np.swapaxes(cross, -1, -2)], [cross, seen.cov]]))
  got, nats = posterior(P, MATRIX, SHIFT, NOISE.cov, Y)
  _close(got, *conditional(joint, (D, D + 1), Y))
  close(nats, _logpdf(marginal(joint, (D, D + 1)), Y))


@laws.float64
def test_posterior_of_broadcast_arguments_equals_loop():
  """One prior and matrix, a noise and an observation each."""
  one = jax.tree.map(lambda a: a[0], P)
  got, nats = posterior(one, MATRIX[0], SHIFT[0], NOISE.cov, Y)
  for i in range(B):
    want, want_nats = posterior(
        one, MATRIX[0], SHIFT[0], NOISE.cov[i], Y[i])
    _close(want, got.mean[i], got.cov[i])
    close(want_nats, nats[i])


def test_posterior_of_a_sharp_observation_stays_positive():
  """In float32: C - K A C has no digit left at a noise of 1e-9."""
  prior = GaussianParams(jnp.zeros(2), jnp.asarray([[1.0, 0.9], [0.9, 1.0]]))
  got, _ = posterior(
      prior, jnp.eye(2), jnp.zeros(2), 1e-9 * jnp.eye(2), jnp.ones(2))
  # (C^-1 + 1e9 I)^-1 is 1e-9 I to a relative 1e-8; 20 roundings of 6e-8.
  np.testing.assert_allclose(got.cov, 1e-9 * np.eye(2), atol=1.2e-15)
  assert np.isfinite(to_multivariate_normal(got).scale_tril).all()


@laws.float64
def test_posterior_of_a_prior_without_width_is_the_prior():
  point = GaussianParams(P.mean, np.zeros((B, D, D)))
  got, nats = posterior(point, MATRIX, SHIFT, NOISE.cov, Y)
  _close(got, *point)
  close(nats, _logpdf(
      GaussianParams(_apply(MATRIX, P.mean) + SHIFT, NOISE.cov), Y))


def test_no_covariance_gives_nan_for_its_member():
  bad = GaussianParams(jnp.zeros((2, 2)),
                       jnp.asarray([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]))
  tril = to_multivariate_normal(bad).scale_tril
  # Of a Cholesky factor that does not exist at least one entry says so.
  np.testing.assert_array_equal(np.isnan(tril).any((1, 2)), [False, True])
  got, nats = product(
      bad, GaussianParams(jnp.zeros(2), 1e-3 * jnp.eye(2)))
  np.testing.assert_array_equal(np.isnan(nats), [False, True])
  np.testing.assert_array_equal(np.isnan(got.mean).all(-1), [False, True])


@laws.float64
def test_jit_and_vmap_equal_eager():
  """To some roundings of terms of size 10."""

  def everything(p, q, y):
    return (gaussian.product(p, q), gaussian.conditional(p, KNOWN, y),
            gaussian.marginal(gaussian.add(p, q), KNOWN))

  got = jax.jit(jax.vmap(everything))(P, Q, Y)
  chex.assert_trees_all_close(got, everything(P, Q, Y), rtol=1e-12, atol=1e-12)


_ONE = GaussianParams(np.zeros(2), np.eye(2))
_TWO = GaussianParams(np.zeros(3), np.eye(3))


@pytest.mark.parametrize('call, says', [
    (lambda: gaussian.to_multivariate_normal(
        GaussianParams(np.zeros(3), np.eye(2))), r'\(3,\) and \(2, 2\)'),
    (lambda: gaussian.add(_ONE, _TWO), 'one dimension, got 2 and 3'),
    (lambda: gaussian.product(_ONE, _TWO), 'one dimension, got 2 and 3'),
    (lambda: gaussian.affine(_ONE, np.eye(3), np.zeros(3)), 'matrix'),
    (lambda: gaussian.affine(_ONE, np.ones((3, 2)), np.zeros(2)), 'shift'),
    (lambda: gaussian.marginal(_ONE, (0, 0)), 'different ones of 0 ... 1'),
    (lambda: gaussian.marginal(_ONE, (-1,)), 'different ones of 0 ... 1'),
    (lambda: gaussian.conditional(_ONE, 1, np.zeros(1)), 'different ones'),
    (lambda: gaussian.conditional(_ONE, (0,), np.zeros(2)), 'values'),
    (lambda: gaussian.posterior(
        _ONE, np.ones((1, 2)), np.zeros(1), np.eye(2), np.zeros(1)),
     'noise_cov'),
    (lambda: gaussian.posterior(
        _ONE, np.ones((1, 2)), np.zeros(1), np.eye(1), np.zeros(2)), 'y must'),
])
def test_shapes_that_do_not_fit_are_refused(call, says):
  with pytest.raises(ValueError, match=says) as error:
    call()
  assert '\n' not in str(error.value)
