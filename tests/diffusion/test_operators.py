"""Operators are linear, their adjoints adjoint, their eigenvalues those."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy import stats

from genjax.diffusion import operators
from tests import laws

_RNG = np.random.default_rng(0)
_EVENT = (4, 6, 3)
_KEPT = _RNG.random(_EVENT) < .4
OPERATORS = {
    'mask': operators.mask(_KEPT),
    'downsample': operators.downsample(_EVENT, 2),
    'grey': operators.grey(_EVENT),
    'blur': operators.blur(_EVENT, .8),
    'matrix': operators.matrix(_RNG.normal(size=(3, 5))),
    'matrix of low rank': operators.matrix(
        _RNG.normal(size=(4, 2)) @ _RNG.normal(size=(2, 5))),
}
_EACH = pytest.mark.parametrize('name', list(OPERATORS))


def _dense(operator):
  """A [M, D], by the unit vectors."""
  dim = int(np.prod(operator.event))
  units = jnp.eye(dim).reshape(dim, *operator.event)
  return np.asarray(operator.apply(units)).reshape(dim, -1).T


@_EACH
@laws.float64
def test_adjoint_and_pseudoinverse_are_those_of_the_matrix(name):
  operator = OPERATORS[name]
  a = _dense(operator)
  y = _RNG.normal(size=(2, *operator.measured))
  got = operators.adjoint(operator, jnp.asarray(y))
  assert got.shape == (2, *operator.event)
  np.testing.assert_allclose(got.reshape(2, -1), y.reshape(2, -1) @ a,
                             atol=1e-12)
  got = operators.pseudoinverse(operator, jnp.asarray(y))
  np.testing.assert_allclose(
      got.reshape(2, -1), y.reshape(2, -1) @ np.linalg.pinv(a, 1e-5).T,
      atol=1e-8)


@_EACH
@pytest.mark.parametrize('spread', [0.0, .7])
@laws.float64
def test_log_likelihood_is_scipys(name, spread):
  operator = OPERATORS[name]
  a = _dense(operator)
  x = _RNG.normal(size=(2, 3, *operator.event))
  y = _RNG.normal(size=(2, *operator.measured))
  got = operators.log_likelihood(
      operators.measure('test', operator, y, .3), jnp.asarray(x), spread)
  cov = .09 * np.eye(len(a)) + spread * a @ a.T
  for i in range(2):
    for j in range(3):
      want = stats.multivariate_normal(a @ x[i, j].ravel(), cov).logpdf(
          y[i].ravel())
      np.testing.assert_allclose(got[i, j], want, rtol=1e-9)


def test_of_images_they_are_what_they_are_called():
  x = _RNG.normal(size=(1, *_EVENT))
  got = {name: np.asarray(OPERATORS[name].apply(jnp.asarray(x)))[0]
         for name in ('mask', 'downsample', 'grey', 'blur')}
  np.testing.assert_allclose(got['mask'], x[0][_KEPT], rtol=1e-6)
  np.testing.assert_allclose(got['downsample'][1, 2],
                             x[0, 2:4, 4:6].mean((0, 1)), rtol=1e-5)
  np.testing.assert_allclose(got['grey'][..., 0], x[0].mean(-1), rtol=1e-5)
  large = _RNG.normal(size=(1, 32, 24, 1))
  np.testing.assert_allclose(
      operators.blur((32, 24, 1), 1.5).apply(jnp.asarray(large))[0, ..., 0],
      ndimage.gaussian_filter(large[0, ..., 0], 1.5, mode='wrap', truncate=6),
      atol=1e-5)


@pytest.mark.parametrize('call, said', [
    (lambda: operators.mask(np.zeros((2, 2), bool)), 'mask: kept must keep'),
    (lambda: operators.downsample((5, 4, 1), 2), 'downsample: an image must'),
    (lambda: operators.grey((4,)), 'grey: an image must be'),
    (lambda: operators.blur((4, 4, 1), 0.0), 'blur: std must be positive'),
    (lambda: operators.matrix(np.ones(3)), 'matrix: a must have 2 axes'),
    (lambda: operators.measure('m', OPERATORS['grey'], np.ones((2, 4, 6, 3)),
                               .1), r'm: measurements must be \[B, 4, 6, 1\]'),
    (lambda: operators.measure('m', OPERATORS['matrix'],
                               np.full((2, 3), np.nan), .1),
     'm: measurements must be finite, got 6'),
    (lambda: operators.measure('m', OPERATORS['matrix'], np.ones((2, 3)),
                               -1.0), 'm: noise_std must be 0 or'),
    (lambda: operators.log_likelihood(
        operators.measure('m', OPERATORS['matrix'], np.ones((2, 3)), .1),
        jnp.ones((2, 4))), r'log_likelihood: x must be \[2, ..., 5\]'),
])
def test_what_does_not_fit_is_refused_in_a_line(call, said):
  with pytest.raises(ValueError, match=said) as caught:
    call()
  assert '\n' not in str(caught.value)
