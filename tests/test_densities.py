"""Models of standardised points: what is fitted, and what is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import densities

_KEY = jax.random.key(0)
_X = np.random.default_rng(0).multivariate_normal(
    [0.3, -0.2], [[1.0, 0.6], [0.6, 1.5]], 400).astype(np.float32)


def shape_of(**chosen):
  return densities.Shape(**{
      'dim': 2, 'num_points': len(_X), 'components': 1, 'bins': 2, 'base': None,
      'key': _KEY, **chosen})


@pytest.mark.parametrize('name', densities.FITS)
def test_params_of_a_fit_are_those_that_a_model_begins_with(name):
  """So that a run of it can be opened: the same tree, shapes and dtypes."""
  chosen, params = densities.FITS[name](_KEY, jnp.asarray(_X))
  model = densities.MODELS[name](shape_of(**chosen))
  want = jax.eval_shape(model.init, _KEY)
  assert jax.tree.structure(params) == jax.tree.structure(want)
  for leaf, like in zip(jax.tree.leaves(params), jax.tree.leaves(want)):
    assert (jnp.shape(leaf), jnp.asarray(leaf).dtype) == (
        like.shape, like.dtype)


def test_gaussian_is_that_of_the_moments():
  _, params = densities.FITS['gaussian'](_KEY, jnp.asarray(_X))
  law = stats.multivariate_normal(_X.mean(0), np.cov(_X.T, ddof=0))
  model = densities.MODELS['gaussian'](shape_of())
  np.testing.assert_allclose(model.log_prob(params, _X), law.logpdf(_X),
                             atol=1e-4)


def test_components_are_as_many_as_there_are_clusters(monkeypatch):
  """Of equal clusters ten standard deviations apart."""
  monkeypatch.setattr(densities, '_COMPONENTS', (1, 2, 4))
  corners = 5.0 * np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])
  rng = np.random.default_rng(1)
  x = corners[rng.integers(0, 4, 400)] + rng.normal(size=(400, 2))
  chosen, _ = densities.FITS['mixture'](_KEY, jnp.asarray(x, jnp.float32))
  assert chosen == {'components': 4}


def test_cells_that_grow_with_the_number_of_points_are_chosen(monkeypatch):
  monkeypatch.setattr(densities, '_BINS', (2, 8, 32))
  x = jax.random.normal(_KEY, (20000, 1))
  few, many = (densities.FITS['histogram'](_KEY, x[:num])[0]['bins']
               for num in (40, 20000))
  assert few < many


def test_base_is_the_cholesky_factor_and_none_on_a_line():
  base = np.reshape(densities.base_of(jnp.asarray(_X)), (2, 2))
  np.testing.assert_allclose(base @ base.T, np.cov(_X.T, ddof=0), atol=1e-5)
  assert densities.base_of(jnp.zeros((5, 2))) is None


def test_points_to_choose_by_are_not_fitted_to():
  most, rest = densities.split(jnp.arange(11))
  np.testing.assert_array_equal(jnp.concatenate([most, rest]), jnp.arange(11))
  assert (len(most), len(rest)) == (8, 3)


def test_energy_of_no_weights_is_the_standard_gaussian():
  model = densities.MODELS['energy'](shape_of())
  none = jax.tree.map(jnp.zeros_like, model.init(_KEY))
  np.testing.assert_allclose(
      model.log_prob(model.complete(none), _X),
      stats.multivariate_normal(np.zeros(2)).logpdf(_X), atol=1e-4)
  log_z, _ = densities.log_partition(shape_of(), none)
  np.testing.assert_allclose(log_z, np.log(2 * np.pi), atol=1e-4)
