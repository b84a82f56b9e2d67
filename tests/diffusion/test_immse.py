"""The I-MMSE relation: its published figure, and its closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from genjax.diffusion import exact
from genjax.diffusion import immse
from genjax.diffusion import likelihood
from tests.diffusion.tables import PROCESSES
from tests.diffusion.test_bounds import mean_and_error
from tests.diffusion.test_bounds import sigma_points
from tests.diffusion.truths import TRUTHS

_KEY = jax.random.key(1)


@pytest.mark.parametrize('name', ['edm', 'vp_cosine'])
def test_log_density_of_a_gaussian_is_that_of_the_oracle(name):
  """ORACLES: N(0, .25) at .3, set against N(0, 1) as in the paper."""
  p = PROCESSES[name]
  truth = exact.gaussian(p, np.zeros(1), .25 * np.eye(1))
  x = jnp.full((2000, 1), .3)
  found = jax.jit(lambda x: immse.log_likelihood(
      _KEY, p, truth.denoiser, x, likelihood.grid(p, 1), num_times=32,
      num_samples=8))(x)
  value, error = mean_and_error(found)
  assert abs(value + .405791) < 4 * error < 4 * 5e-3


def test_what_is_left_out_is_as_much_as_it_says():
  """Of a Gaussian, in the mean over data of variances v: half the integrals of
  the error of D_s less sum v / (1 + g v), by quadrature, from 0 to the first
  level and from the last on. To first order the latter is r^2 / 2 (sum 1 / v -
  D / s^2) for s^2 the mean square, and in general the score's mean squared
  distance from that of N(0, s^2). Any scale of the logistic has one mean."""
  truth, p, s = TRUTHS['gaussian'], PROCESSES['edm'], .4
  v = np.linalg.eigvalsh(truth.covs[0])
  x = jnp.asarray(sigma_points(truth.covs[0], 400), jnp.float32)

  def more(g):
    of_s = (v.sum() + 2 * g * s**4) / (1 + g * s**2)**2
    return .5 * (of_s - np.sum(v / (1 + g * v)))

  below = integrate.quad(more, 0, 1 / .8**2)[0]
  above = integrate.quad(more, 1 / .1**2, np.inf)[0]
  assert above == pytest.approx(
      .1**2 / 2 * np.sum(v * (1 / v - 1 / s**2)**2), rel=.2)
  entropy = .5 * np.sum(np.log(2 * np.pi * np.e * v))
  run = jax.jit(lambda x, scale: immse.log_likelihood(
      _KEY, p, truth.exact(p).denoiser, x, jnp.array([.8, .1]), data_std=s,
      num_times=16, num_samples=8, scale=scale), static_argnums=1)
  for scale in (1., 3.):
    value, error = mean_and_error(run(x, scale))
    assert abs(value + entropy + below + above) < 4 * error
    assert 4 * error < min(abs(below), abs(above))
