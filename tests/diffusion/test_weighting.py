"""A weighting of the x_0 error is the plain error of the space it names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import prediction
from genjax.diffusion import weighting
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PREDICTIONS
from tests.diffusion.tables import PROCESSES

# (weighting, the prediction whose plain error it is, processes where it is)
PLAIN = {
    'x0': (weighting.x0, 'x0', tuple(PROCESSES)),
    'eps': (weighting.eps, 'eps', tuple(PROCESSES)),
    'v': (weighting.v, 'v', tables.VP),
    'flow_matching': (weighting.flow_matching, 'velocity', ('flow_matching',)),
    'edm': (weighting.edm(0.5), 'edm', tuple(PROCESSES)),
}
_LOG_SNR = np.linspace(-9, 9, 37)


def _slope_squared(p, kind, t):
  one = jnp.ones_like(t)
  return jnp.square(PREDICTIONS[kind].to_x0(p, one, 0 * one, t))


@pytest.mark.parametrize('name', PLAIN)
@laws.float64
def test_weighting_times_squared_slope_is_one(name):
  weight, kind, names = PLAIN[name]
  for process_name in names:
    p = PROCESSES[process_name]
    low, high = (tables.at(p.log_snr, end) for end in (p.t_max, p.t_min))
    t = p.time(jnp.asarray(np.clip(_LOG_SNR, low, high)))
    got = weight(p.log_snr(t), None) * _slope_squared(p, kind, t)
    np.testing.assert_allclose(got, 1, rtol=1e-9, err_msg=process_name)


@laws.float64
def test_min_snr_is_the_smaller_of_snr_and_gamma():
  got = weighting.min_snr(3.0)(jnp.asarray(_LOG_SNR), None)
  np.testing.assert_allclose(got, np.minimum(np.exp(_LOG_SNR), 3), rtol=1e-12)


@laws.float64
def test_p2_weighs_the_noise_error():
  """arXiv:2204.00227, eq. 8: 1 / (k + SNR)^gamma on the eps error."""
  p, log_snr = PROCESSES['vp_linear'], jnp.asarray(_LOG_SNR)
  slope = _slope_squared(p, 'eps', p.time(log_snr))
  for k, gamma in ((1., 1.), (.5, .7)):
    got = weighting.p2(k, gamma)(log_snr, None) * slope
    np.testing.assert_allclose(got, (k + np.exp(_LOG_SNR))**-gamma, rtol=1e-9)
  np.testing.assert_allclose(
      weighting.p2(2., 1.)(jnp.asarray([-400., 400.]), None), [0, 1],
      atol=1e-99)


@laws.float64
def test_elbo_integrates_the_error_over_snr():
  """Half of it: of E = std^2 / (1 + SNR std^2), the least of a Gaussian,
  log(1 + SNR std^2) / 2 between the ends, whatever the times."""
  for name, ends in (('vp_linear', (0.01, 1.)), ('edm', (.1, 10.))):
    p, var = PROCESSES[name], .49
    t, step = np.linspace(*ends, 40_001, retstep=True)
    rate = jnp.abs(jax.jit(jax.vmap(jax.grad(p.log_snr)))(
        jnp.asarray(t)))  # u is t
    log_snr = p.log_snr(jnp.asarray(t))
    error = var / (1 + np.exp(log_snr) * var)
    got = np.trapezoid(weighting.elbo(log_snr, rate) * error, dx=step)
    high, low = np.exp(log_snr[jnp.asarray([0, -1])])
    want = .5 * np.log((1 + high * var) / (1 + low * var))
    np.testing.assert_allclose(got, want, rtol=1e-5)


@laws.float64
def test_sigmoid_is_a_sigmoid_of_the_noise_error():
  """arXiv:2410.19324, eq. 8: sigmoid(bias - log_snr) on the eps error."""
  p = PROCESSES['vp_linear']
  log_snr = jnp.asarray(_LOG_SNR)
  got = weighting.sigmoid(1.5)(log_snr, None) * _slope_squared(
      p, 'eps', p.time(log_snr))
  np.testing.assert_allclose(got, 1 / (1 + np.exp(_LOG_SNR - 1.5)), rtol=1e-9)


def test_sigmoid_is_bounded_where_the_snr_is_infinite():
  """It tends to exp(bias), and to 0 at the other end."""
  got = weighting.sigmoid(1.5)(
      jnp.asarray([-jnp.inf, -200., 90., jnp.inf]), None)
  np.testing.assert_allclose(got, [0, 0, np.exp(1.5), np.exp(1.5)], rtol=1e-6)


@pytest.mark.parametrize('make', [
    weighting.edm, weighting.min_snr, weighting.p2,
    lambda gamma: weighting.p2(1.0, gamma)])
def test_weightings_refuse_numbers_that_are_not_positive(make):
  with pytest.raises(ValueError, match='must be positive, got 0'):
    make(0)


@laws.float64
def test_eps_weighting_through_x0_is_the_plain_eps_error():
  """Any error d of x_0 is an error -alpha / sigma d of eps."""
  p = PROCESSES['vp_cosine_short']
  t = jnp.linspace(.1, .9, 5)
  eps, x0, d = np.random.default_rng(0).normal(size=(3, 5))
  alpha, sigma = p.alpha(t), p.sigma(t)
  noise = (alpha * x0 + sigma * eps - alpha * (x0 + d)) / sigma
  np.testing.assert_allclose(weighting.eps(p.log_snr(t), None) * d**2,
                             np.square(noise - eps), rtol=1e-9)
  assert prediction.eps.divides_by_alpha
