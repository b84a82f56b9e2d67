"""Gaussians fitted to dequantised pixels: what a model of images must beat.

Pixels of few levels get uniform noise of one level's width, so that a density
of them bounds the mass of the levels from below (arXiv:1511.01844, section
3.1), see `metrics.bits`.
"""

from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.distributions import fitting
from genjax.distributions.combinators import mixture
from genjax.distributions.multivariate import multivariate_normal

_COMPONENTS = 10
# Least scales of a component, as shares of the pixels': without any it would
# close in on pixels that are the same in the few images it has.
_FLOORS = (0.05, 0.09, 0.16, 0.3, 0.55)
_STEPS = 15
_COPIES = 2  # noise of each training image
_TEST_COPIES = 10

_MIXTURE = mixture(multivariate_normal)


class PixelDensity(NamedTuple):
  """How well a density does on test images."""

  nats: np.ndarray  # mean over the noise, of the pixels' unit, [N]
  note: str


def fit_and_score(
    seed: int, train: np.ndarray, test: np.ndarray, level_width: float
) -> Mapping[str, PixelDensity]:
  """A full-covariance Gaussian, and a mixture of ten, of vectors of pixels.

  The floor of the mixture's scales is chosen by the likelihood of a fifth of
  the training images under a fit to the others.

  Args:
    seed: of the noise and the starts of the fit.
    train: [N, D], N > D.
    test: [M, D].
    level_width: between neighbouring levels of a pixel.
  """
  rng = np.random.default_rng(seed)
  train = rng.permutation(train)  # a folder's classes lie in blocks

  def dequantised(x, copies):
    x = np.tile(x, (copies, 1))
    noise = rng.uniform(-0.5, 0.5, x.shape)
    return (x + level_width * noise).astype(np.float32)

  @jax.jit
  def fit_mixture(x, floor):
    return fitting.fit_gaussian_mixture(
        jax.random.key(seed), x, _COMPONENTS, num_steps=_STEPS,
        num_restarts=1, min_scale=floor).params

  most = 4 * len(train) // 5
  seen, unseen = (dequantised(part, _COPIES)
                  for part in (train[:most], train[most:]))
  log_prob = jax.jit(_MIXTURE.log_prob)
  floor = max(_FLOORS, key=lambda floor: float(jnp.mean(
      log_prob(fit_mixture(seen, floor), unseen))))
  x, y = dequantised(train, _COPIES), dequantised(test, _TEST_COPIES)

  def score(log_prob: Callable[[Any, np.ndarray], Any], params, note):
    nats = np.asarray(log_prob(params, y)).reshape(_TEST_COPIES, -1)
    return PixelDensity(nats.mean(0), note)

  return {
      'gaussian': score(jax.jit(multivariate_normal.log_prob),
                        jax.jit(fitting.fit_multivariate_normal)(x),
                        'full covariance'),
      'mixture': score(log_prob, fit_mixture(x, floor),
                       f'{_COMPONENTS} full covariances, scales of {floor:g} '
                       "of the pixels' or more")}
