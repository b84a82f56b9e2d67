"""Every prediction says the same denoiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import exact
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PREDICTIONS
from tests.diffusion.tables import PROCESSES


def _at(process, t):
  """Noise embedding that hands the time through, for networks made by hand."""
  del process
  return t


def _levels(p, least=1e-4, num=24):
  """Times at which alpha and sigma are `least` or more, ends included."""
  edge = np.log1p(-least**2) - 2 * np.log(least)
  ends = np.clip(tables.at(p.log_snr, np.array([p.t_max, p.t_min])), -edge,
                 edge)
  return np.clip(tables.at(p.time, np.linspace(*ends, num)), p.t_min, p.t_max)


@pytest.mark.parametrize('name', PROCESSES)
@laws.float64
def test_predictions_give_one_denoiser(name):
  """Networks that are perfect in each target agree in x_0 to 1e-6."""
  p = PROCESSES[name]
  t = jnp.asarray(_levels(p))
  x0, eps = jnp.asarray(np.random.default_rng(0).normal(size=(2, t.size, 3)))
  kinds = [kind for kind in PREDICTIONS if tables.defined(name, kind)]

  @jax.jit
  def denoised(x0, eps, t):
    xt = process.perturb(p, x0, eps, t)
    truth = exact.gaussian(p, jnp.zeros(3), 0.25 * jnp.eye(3)).denoiser(xt, t)
    alpha, sigma = process.coefficients(p, t, 2)
    noise, seen = (xt - alpha * truth) / sigma, []

    def of(predicted):

      def network(variables, x, time, cond):
        seen.append(x)
        return predicted.target(p, truth, noise, time)

      return make_denoiser(Diffusion(
          network, fixed(p), predicted, 0.5, prediction.raw_input, _at))(
              init_model({}))(xt, t)

    return xt, truth, [of(PREDICTIONS[kind]) for kind in kinds], seen

  xt, truth, found, seen = denoised(x0, eps, t)
  for kind, got, x in zip(kinds, found, seen):
    np.testing.assert_array_equal(x, xt)  # raw_input scales nothing
    np.testing.assert_allclose(got, truth, atol=1e-6, rtol=1e-6, err_msg=kind)


@pytest.mark.parametrize('name', PROCESSES)
@laws.float64
def test_targets_are_what_their_papers_say(name):
  p = PROCESSES[name]
  t = _levels(p, 1e-3, 9)
  x0, eps = np.random.default_rng(0).normal(size=(2, 9, 2))
  alpha, sigma = (tables.at(f, t)[:, None] for f in (p.alpha, p.sigma))
  xt = alpha * x0 + sigma * eps
  level = sigma / alpha  # of arXiv:2206.00364, whose data is x_t / alpha
  skip = 0.25 / (level**2 + 0.25)
  out = level * 0.5 / np.sqrt(level**2 + 0.25)
  want = {
      'x0': x0,
      'eps': eps,
      'score': -(xt - alpha * x0) / sigma**2,
      'v': alpha * eps - sigma * x0,
      'edm': (x0 - skip * xt / alpha) / out,
  }
  for kind, value in want.items():
    got = PREDICTIONS[kind].target(p, *map(jnp.asarray, (x0, eps, t)))
    np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-6, err_msg=kind)


@pytest.mark.parametrize('name', PROCESSES)
@laws.float64
def test_velocity_is_the_slope_of_the_path(name):
  """Central differences of `perturb` in t; their error is 1e-10 relative."""
  p = PROCESSES[name]
  t = jnp.asarray(np.linspace(p.t_min, p.t_max, 9)[1:-1])
  x0, eps = jax.random.normal(jax.random.key(0), (2, 7, 2))
  h = 1e-5 * p.t_max
  slope = (process.perturb(p, x0, eps, t + h)
           - process.perturb(p, x0, eps, t - h)) / (2 * h)
  got = PREDICTIONS['velocity'].target(p, x0, eps, t)
  np.testing.assert_allclose(got, slope, rtol=1e-6, atol=1e-6)


@laws.float64
def test_velocity_is_noise_minus_data_on_the_straight_path():
  x0, eps = jax.random.normal(jax.random.key(0), (2, 4, 2))
  got = PREDICTIONS['velocity'].target(
      PROCESSES['flow_matching'], x0, eps, jnp.linspace(0, 1, 4))
  np.testing.assert_allclose(got, eps - x0, rtol=1e-12)


@pytest.mark.parametrize('name', PROCESSES)
def test_edm_target_has_unit_variance(name):
  """Where x_0 has the standard deviation that `edm` is told, at any level."""
  p = PROCESSES[name]
  t = np.linspace(p.t_min, p.t_max, 7)
  one, zero = jnp.ones(7), jnp.zeros(7)
  target = PREDICTIONS['edm'].target
  by_data = 0.5 * target(p, one, zero, jnp.asarray(t, jnp.float32))
  by_noise = target(p, zero, one, jnp.asarray(t, jnp.float32))
  np.testing.assert_allclose(np.hypot(by_data, by_noise), 1, rtol=1e-5)


def test_timestep_numbers_the_levels_of_a_chain():
  """And never leaves them, however early the time is."""
  t = (jnp.arange(1000) + 1) / 1000
  number = prediction.timestep(1000)
  np.testing.assert_array_equal(number(PROCESSES['ddpm'], t), np.arange(1000))
  early = jnp.asarray([0., 1e-4, 4e-4, 6e-4, 1e-3, 1.6e-3, 1., 1.01])
  np.testing.assert_array_equal(number(PROCESSES['ddpm'], early),
                                [0, 0, 0, 0, 0, 1, 999, 999])


@pytest.mark.parametrize('name', PROCESSES)
def test_to_x0_is_finite_at_both_ends(name):
  """Of what is not refused. Without noise it is x_t / alpha, whatever the
  network says, though the derivative of sigma be infinite there."""
  p = PROCESSES[name]
  x = jnp.ones((2, 3))
  for kind, predicted in PREDICTIONS.items():
    if tables.defined(name, kind):
      got = predicted.to_x0(p, x, x, jnp.asarray([p.t_max, 0.]))
      assert np.all(np.isfinite(got)), kind
      if name in tables.NOISELESS and kind != 'x0':
        np.testing.assert_array_equal(got[1], 1)


def test_edm_prediction_refuses_data_without_spread():
  with pytest.raises(ValueError, match='prediction.edm: data_std must be pos'):
    prediction.edm(0.)
