"""The laws over every continuous family, alone and as one event of any rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.distributions import bounded
from genjax.distributions import continuous
from genjax.distributions import independent
from tests import laws

_NAN, _INF = float('nan'), float('inf')
_RNG = np.random.default_rng(0)


def _positive(*shape):
  return np.exp(_RNG.normal(size=shape))


def _family(dist, make, scipy, params, bad, outside=(), event_shape=()):
  params = tuple(np.asarray(p, np.float64) for p in params)
  return laws.Family(dist, params, make, scipy, event_shape, bad, outside)


def _located(dist, make, scipy, loc, scale, event_shape=()):
  return _family(dist, make, scipy, (loc, scale), _BAD, (-_INF, _INF),
                 event_shape)


def _uniform(low, high):
  return stats.uniform(low, high - low)


_BAD = ((0., 0.), (0., -1.), (0., _NAN), (0., _INF), (_NAN, 1.), (_INF, 1.))
_BAD_POSITIVE = ((0., 1.), (-1., 1.), (_NAN, 1.), (_INF, 1.), (1., 0.),
                 (1., _NAN), (1., _INF))
_LOC, _SCALE = _RNG.normal(size=(2, 3)), _positive(2, 3)
NORMAL = (continuous.normal, continuous.NormalParams, stats.norm)

# Params are two axes of batch, or broadcast to them.
SCALAR = {
    'normal': _located(*NORMAL, _LOC, _SCALE),
    'normal broadcast': _located(*NORMAL, _LOC[:, :1], _SCALE[0]),
    'laplace': _located(continuous.laplace, continuous.LaplaceParams,
                        stats.laplace, _LOC, _SCALE),
    'logistic': _located(continuous.logistic, continuous.LogisticParams,
                         stats.logistic, _LOC, _SCALE),
    'student_t': _family(
        continuous.student_t, continuous.StudentTParams, stats.t,
        ([[2.5], [30.]], _LOC, _SCALE),
        ((0., 0., 1.), (-1., 0., 1.), (_NAN, 0., 1.), (-_INF, 0., 1.),
         (3., 0., 0.), (3., _NAN, 1.)), (-_INF, _INF)),
    'uniform': _family(
        bounded.uniform, bounded.UniformParams, _uniform,
        (_LOC, _LOC + _SCALE), ((1., 0.), (1., 1.), (0., _NAN), (_NAN, 1.),
                                (0., _INF), (-_INF, 1.)),
        (-9., 9., _INF)),
    'exponential': _family(
        bounded.exponential, bounded.ExponentialParams,
        lambda rate: stats.expon(scale=1 / rate), (_SCALE,),
        ((0.,), (-1.,), (_NAN,), (_INF,)), (-1e-3, _INF)),
    'gamma': _family(
        bounded.gamma, bounded.GammaParams,
        lambda a, rate: stats.gamma(a, scale=1 / rate),
        ([[1.5], [0.5]], [1., 2., 0.1]), _BAD_POSITIVE, (-1e-3, _INF)),
    'beta': _family(
        bounded.beta, bounded.BetaParams, stats.beta,
        ([[1.5], [0.5]], [1., 2., 0.7]), _BAD_POSITIVE, (-1e-3, 1.1, _INF)),
}

# What float32 finds hard: many degrees of freedom, large concentrations.
HARD = {
    'student_t': SCALAR['student_t']._replace(
        params=(np.array([.5, 1., 19.9, 20.1, 1e3, 1e5]), np.zeros(6),
                np.ones(6))),
    'gamma': SCALAR['gamma']._replace(
        params=(np.array([.2, 14.9, 15.1, 100., 1e4, 1e5]), np.ones(6))),
    'beta': SCALAR['beta']._replace(
        params=(np.array([.2, 14., 300., 1e4, 1e4]),
                np.array([.3, 16., 2., 3e4, .5]))),
}
# Here scipy loses digits too: it is good to 1e-8.
VAST = {
    'gamma': SCALAR['gamma']._replace(
        params=(np.array([1e5, 1e7]), np.array([0.7, 0.7]))),
    'beta': SCALAR['beta']._replace(
        params=(np.array([70., 1.5e6, 3e6 + 0.25]),
                np.array([1e4, 1.1e6, 2.7]))),
}

_EVENT = _RNG.normal(size=(3, 2, 2, 1)), _positive(3, 2, 2, 1)
EVENTS = {
    'independent_1': _located(independent(continuous.normal, 1), *NORMAL[1:],
                              *(p[..., 0, 0] for p in _EVENT), (2,)),
    # Events of rank 3, made in two goes.
    'independent_3': _located(
        independent(independent(continuous.normal, 1), 2), *NORMAL[1:],
        *_EVENT, (2, 2, 1)),
    'independent_3 of gamma': SCALAR['gamma']._replace(
        dist=independent(bounded.gamma, 3), event_shape=(2, 2, 1),
        params=(1 + _positive(3, 2, 2, 1), _positive(3, 2, 2, 1))),
}
FAMILIES = SCALAR | EVENTS


@laws.over(FAMILIES)
def test_family_keeps(law, family):
  law(family)


@laws.over(SCALAR, (
    *laws.OF_SCALARS, laws.gradients_match_differences))
def test_scalar_family_keeps(law, family):
  law(family)


@laws.over(HARD, [laws.log_prob_matches_scipy_where_digits_are_lost,
                  laws.moments_match_scipy_in_float32])
def test_family_of_hard_params_keeps(law, family):
  law(family)


@laws.over(VAST, [laws.log_prob_matches_scipy_in_float32])
def test_family_of_vast_params_keeps(law, family):
  law(family)


@pytest.mark.parametrize('name', HARD)
def test_entropy_keeps_its_digits_in_float32(name):
  params = tuple(p.astype(np.float32) for p in HARD[name].params)
  got = jax.jit(HARD[name].dist.entropy)(HARD[name].make(*params))
  want = HARD[name].scipy(*(p.astype(np.float64) for p in params)).entropy()
  np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('dist, params, x, want', [
    (continuous.student_t, continuous.StudentTParams(1., 0., 1.), 1., -1.),
    (continuous.logistic, continuous.LogisticParams(0., 1.), 0., 0.),
    (bounded.exponential, bounded.ExponentialParams(3.), 0., -3.),
    (bounded.gamma, bounded.GammaParams(0.2, 1.), 1e-30, -0.8e30),
    (bounded.beta, bounded.BetaParams(0.2, 1.), 1e-30, -0.8e30),
])
def test_slope_of_log_prob_is_right_where_branches_meet(dist, params, x, want):
  slope = jax.jit(jax.grad(dist.log_prob, argnums=1))(params, x)
  np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-6)


def test_params_may_be_python_numbers():
  """Whole numbers are locations and scales like any other."""
  params = continuous.NormalParams(1, 2)
  x = continuous.normal.sample(jax.random.key(0), params, (3,))
  assert x.shape == (3,) and x.dtype == jnp.float32
  got = continuous.normal.log_prob(params, jnp.asarray(2))
  np.testing.assert_allclose(got, stats.norm(1, 2).logpdf(2), rtol=1e-6)


@pytest.mark.parametrize('df, mean, variance', [
    (0.5, _NAN, _NAN), (1.0, _NAN, _NAN), (2.0, 3.0, np.inf), (4.0, 3.0, 8.0)])
def test_moments_of_student_t_are_nan_where_there_are_none(df, mean, variance):
  params = continuous.StudentTParams(df, 3.0, 2.0)
  dist = laws.compiled(continuous.student_t)
  np.testing.assert_allclose(dist.mean(params), mean)
  np.testing.assert_allclose(dist.variance(params), variance)


@pytest.mark.parametrize('dist, params, x, want', [
    (bounded.gamma, bounded.GammaParams(0.5, 1.0), 0.0, np.inf),
    (bounded.gamma, bounded.GammaParams(1.0, 3.0), 0.0, np.log(3)),
    (bounded.gamma, bounded.GammaParams(2.0, 1.0), 0.0, -np.inf),
    (bounded.beta, bounded.BetaParams(0.5, 2.0), 0.0, np.inf),
    (bounded.beta, bounded.BetaParams(1.0, 3.0), 0.0, np.log(3)),
    (bounded.beta, bounded.BetaParams(3.0, 1.0), 1.0, np.log(3)),
    (bounded.beta, bounded.BetaParams(2.0, 3.0), 1.0, -np.inf),
    (bounded.uniform, bounded.UniformParams(-1.0, 3.0), 3.0, -np.log(4)),
    (bounded.exponential, bounded.ExponentialParams(3.0), 0.0, np.log(3)),
])
def test_log_prob_at_the_end_of_the_support_is_its_limit(dist, params, x,
                                                         want):
  np.testing.assert_allclose(jax.jit(dist.log_prob)(params, x), want, rtol=1e-6)


def test_uniform_never_draws_its_upper_end():
  """Also where float32 has but two numbers from `low` to `high`."""
  params = bounded.UniformParams(1e6, 1e6 + 0.125)
  x = laws.compiled(bounded.uniform).sample(jax.random.key(0), params, (1000,))
  assert set(np.unique(x)) == {1e6, 1e6 + 0.0625}


def test_gamma_and_beta_draw_from_tiny_concentrations():
  """exp(-1000) is 0 in float32, and must be no NaN."""
  keys = jax.random.key(0), jax.random.key(1)
  gamma, beta = laws.compiled(bounded.gamma), laws.compiled(bounded.beta)
  x = gamma.sample(keys[0], bounded.GammaParams(1e-3, 1.0), (1000,))
  assert np.isfinite(x).all() and np.all(np.asarray(x) >= 0)
  x = beta.sample(keys[1], bounded.BetaParams(1e-3, 1e-3), (4000,))
  # Nearly all mass is at the two ends, half at each.
  assert abs(float(jnp.mean(x)) - 0.5) < 4 * 0.5 / np.sqrt(4000)
