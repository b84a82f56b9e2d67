"""Data whose log-density scipy knows, for the laws of likelihoods."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import special
from scipy import stats

from genjax.diffusion import exact


class Truth(NamedTuple):
  """A mixture of Gaussians of any dimension."""

  weights: np.ndarray  # [K]
  means: np.ndarray  # [K, D]
  covs: np.ndarray  # [K, D, D]

  def exact(self, process):
    return exact.gaussian_mixture(process, *map(jnp.asarray, (
        np.log(self.weights), self.means, self.covs)))

  def draw(self, num: int, seed: int = 0) -> np.ndarray:
    """Draws [N, D], as many of each component as are expected."""
    rng = np.random.default_rng(seed)
    counts = np.round(num * np.cumsum(np.append(0, self.weights))).astype(int)
    return np.concatenate([
        rng.multivariate_normal(mean, cov, count) for mean, cov, count in zip(
            self.means, self.covs, np.diff(counts))])

  def log_prob(self, x: np.ndarray) -> np.ndarray:
    """Nats [N] of x [N, D]."""
    nats = [stats.multivariate_normal(mean, cov).logpdf(x)
            for mean, cov in zip(self.means, self.covs)]
    return special.logsumexp(np.stack(nats), axis=0,
                             b=self.weights[:, None])

  @property
  def std(self) -> float:
    """Root of the mean square of an entry."""
    second = self.covs + np.einsum('ki,kj->kij', self.means, self.means)
    return float(np.sqrt(np.trace(np.einsum('k,kij->ij', self.weights, second))
                         / self.means.shape[1]))


def _correlated(first: float, second: float, share: float) -> np.ndarray:
  off = share * np.sqrt(first * second)
  return np.array([[first, off], [off, second]])


TRUTHS = {
    'line': Truth(np.array([.3, .7]), np.array([[-1.], [.6]]),
                  np.array([[[.04]], [[.16]]])),
    'gaussian': Truth(np.ones(1), np.zeros((1, 2)),
                      _correlated(.5, .2, .8)[None]),
    'plane': Truth(np.array([.4, .6]), np.array([[-.9, .4], [.6, -.3]]),
                   np.stack([_correlated(.1, .05, .5),
                             _correlated(.2, .3, -.7)])),
}
