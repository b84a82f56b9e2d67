"""What guidance samples of Gaussians: closed form, numbers, and solvers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from genjax.diffusion import exact
from genjax.diffusion import guidance
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion.exact_guided import guided
from genjax.diffusion.exact_guided import Law
from genjax.diffusion.exact_guided import tilted
from tests import laws

_COND, _UNCOND = Law(1.0, .25), Law(0.0, 1.0)


@pytest.mark.parametrize('scale, law, said', [
    (1.5, (1.238451, .125), (1.090909, .181818)),
    (2.0, (1.380173, .0625), (1.142857, .142857)),
    (3.0, (1.5, .015625), (1.2, .1)),
])
def test_the_two_laws_are_those_of_the_oracle(scale, law, said):
  """Numbers of a second source, from infinite noise."""
  got = guided(_COND, _UNCOND, scale)
  np.testing.assert_allclose([got.mean[0], got.variance[0]], law, atol=5e-7)
  got = tilted(_COND, _UNCOND, scale)
  np.testing.assert_allclose([got.mean[0], got.variance[0]], said, atol=5e-7)


@pytest.mark.parametrize('scale', [.5, 2.5])
@pytest.mark.parametrize('noise', [.3, 7.0])
def test_the_mean_is_an_integral_over_the_noise(scale, noise):
  """That of the linear flow, by another quadrature; entries on their own."""
  cond, uncond = Law([1., -2.], [.25, 3.]), Law([.3, 0.], [1., .01])
  got = guided(cond, uncond, scale, noise=noise, start=2.0)
  for i in range(2):
    (m, v), (n, u) = ((law.mean[i], law.variance[i]) for law in (cond, uncond))

    def pull(s, m=m, v=v, n=n, u=u):
      shrunk = (v / (v + s * s))**(scale / 2) * (
          u / (u + s * s))**((1 - scale) / 2)
      return shrunk * s * (scale * m / (v + s * s)
                           + (1 - scale) * n / (u + s * s))

    want, _ = integrate.quad(pull, 0, noise, epsabs=1e-12, points=[.01, .1])
    np.testing.assert_allclose(got.mean[i], want, rtol=1e-9)
    np.testing.assert_allclose(
        got.variance[i], 2 * (v / (v + noise**2))**scale * (
            u / (u + noise**2))**(1 - scale), rtol=1e-12)


def _denoiser(p, law):
  return exact.gaussian(p, jnp.full(1, law.mean),
                        jnp.full((1, 1), law.variance)).denoiser


def _log_prob(p, law):
  return exact.gaussian(p, jnp.full(1, law.mean),
                        jnp.full((1, 1), law.variance)).log_prob


def _by_classifier(p, scale):
  cond, uncond = (_log_prob(p, law) for law in (_COND, _UNCOND))
  return guidance.classifier(p, _denoiser(p, _UNCOND),
                             lambda x, t: cond(x, t) - uncond(x, t), scale)


_GUIDED = {
    'classifier_free': lambda p, scale: guidance.classifier_free(
        _denoiser(p, _COND), _denoiser(p, _UNCOND), scale),
    'autoguidance': lambda p, scale: guidance.autoguidance(
        _denoiser(p, _COND), _denoiser(p, _UNCOND), scale),
    'projected, eta 1': lambda p, scale: guidance.projected(
        _denoiser(p, _COND), _denoiser(p, _UNCOND), scale, eta=1.0),
    'rescaled, share 0': lambda p, scale: guidance.rescaled(
        guidance.classifier_free(
            _denoiser(p, _COND), _denoiser(p, _UNCOND), scale),
        _denoiser(p, _COND), 0.0),
    'classifier': _by_classifier,
}


@functools.cache
def _drawn_from(sigma):
  p = process.edm(sigma_max=sigma)

  @functools.partial(jax.jit, static_argnums=0)
  def drawn(name, scale, x):
    return samplers.sample(
        jax.random.key(0), samplers.adaptive(p, rtol=1e-9, atol=1e-9),
        _GUIDED[name](p, scale), x, jnp.asarray([sigma, 1e-5])).x

  return drawn


@pytest.mark.parametrize('name', list(_GUIDED))
@laws.float64
def test_the_law_is_what_solvers_draw(name):
  """From sigma 3 and 1e4; of the latter it is that of infinite noise, but for
  1 / sigma in the mean.

  The flow is affine: two starts tell mean and standard deviation.
  """
  for sigma in (3.0, 1e4):
    for scale in (1.5, 3.0):
      at = _drawn_from(sigma)(name, scale, jnp.asarray([[0.0], [sigma]]))[:, 0]
      got = [at[0], (at[1] - at[0])**2]
      want = guided(_COND, _UNCOND, scale, noise=sigma)
      np.testing.assert_allclose(got, np.concatenate(want), rtol=1e-6)
  want = guided(_COND, _UNCOND, 3.0)
  np.testing.assert_allclose(got[1], want.variance[0], rtol=1e-5)
  np.testing.assert_allclose(got[0], want.mean[0], atol=1 / sigma)


def test_where_the_tilted_law_is_none_it_is_refused():
  with pytest.raises(ValueError, match='tilted: scale must leave a law'):
    tilted(Law([0.], [4.0]), Law([0.], [1.0]), 2.0)
  with pytest.raises(ValueError, match='guided: start must be absent'):
    guided(_COND, _UNCOND, 2.0, start=1.0)
  with pytest.raises(ValueError, match='guided: noise must be positive'):
    guided(_COND, _UNCOND, 2.0, noise=0.0)
