"""The laws over every family, alone and with trailing axes as one event."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.distributions import independent
from genjax.distributions import normal
from genjax.distributions import NormalParams
from tests import laws

_RNG = np.random.default_rng(0)
_LOC = _RNG.normal(size=(2, 3, 2, 2, 1))
_SCALE = np.exp(_RNG.normal(size=(2, 3, 2, 2, 1)))
_BAD = ((0., 0.), (0., -1.), (0., np.nan), (np.nan, 1.))


def _normal(dist, loc, scale, event_shape=()):
  return laws.Family(dist, (loc, scale), NormalParams, stats.norm, event_shape,
                     _BAD)


SCALAR = {
    'normal': _normal(normal, _LOC[..., 0, 0, 0], _SCALE[..., 0, 0, 0]),
    # loc and scale broadcast against each other.
    'normal_mixed': _normal(normal, _LOC[:, :1, 0, 0, 0],
                            _SCALE[0, :, 0, 0, 0]),
}
EVENTS = {
    'independent_1': _normal(independent(normal, 1), _LOC[0, :, :, 0, 0],
                             _SCALE[0, :, :, 0, 0], (2,)),
    # Events of rank 3, made in two goes.
    'independent_3': _normal(independent(independent(normal, 1), 2), _LOC[0],
                             _SCALE[0], (2, 2, 1)),
}
FAMILIES = SCALAR | EVENTS

each_family = pytest.mark.parametrize('name', FAMILIES)


@each_family
def test_log_prob_matches_scipy(name):
  laws.log_prob_matches_scipy(FAMILIES[name])


@pytest.mark.parametrize('name', SCALAR)
def test_log_prob_integrates_to_one(name):
  laws.density_integrates_to_one(SCALAR[name])


@each_family
def test_sample_agrees_with_log_prob(name):
  laws.samples_agree_with_density(FAMILIES[name])


@pytest.mark.parametrize('name', ['normal_mixed', 'independent_3'])
def test_jit_equals_eager(name):
  laws.jit_equals_eager(FAMILIES[name])


@pytest.mark.parametrize('name', ['normal', 'independent_3'])
def test_vmap_over_params_equals_loop(name):
  laws.vmap_over_params_equals_loop(FAMILIES[name])


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@each_family
def test_dtype_is_kept(name, dtype):
  laws.dtype_is_kept(FAMILIES[name], dtype)


@each_family
@laws.float64
def test_dtype_is_kept_at_double_precision(name):
  laws.dtype_is_kept(FAMILIES[name], jnp.float64)


@each_family
def test_bad_params_give_nan(name):
  laws.bad_params_give_nan(FAMILIES[name])


@pytest.mark.parametrize('name', ['normal_mixed', 'independent_3'])
def test_gradients_are_finite_in_the_tails(name):
  laws.gradients_are_finite_in_the_tails(FAMILIES[name])


@each_family
def test_event_ndims_is_the_rank_of_the_event(name):
  family = FAMILIES[name]
  assert family.dist.event_ndims == len(family.event_shape)
  assert family.dist.density == 'exact'


def test_normal_takes_python_numbers():
  """Whole numbers are locations and scales like any other."""
  x = normal.sample(jax.random.key(0), NormalParams(1, 2), (3,))
  assert x.shape == (3,) and x.dtype == jnp.float32
  got = normal.log_prob(NormalParams(1, 2), jnp.asarray(2))
  np.testing.assert_allclose(got, stats.norm(1, 2).logpdf(2), rtol=1e-6)


def test_normal_log_prob_is_exact_far_out():
  """-z^2 / 2 dominates at 100 scales: one rounding of z^2 is 6e-8 of it."""
  got = normal.log_prob(NormalParams(3.0, 0.5), jnp.asarray([-47.0, 53.0]))
  want = stats.norm(3, 0.5).logpdf([-47, 53])
  np.testing.assert_allclose(got, want, rtol=3e-7)
