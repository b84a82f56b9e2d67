"""What is certified of log-densities: how far each road is from the truth."""

import functools
from typing import Any, Mapping, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax.diffusion import bounds
from genjax.diffusion import exact
from genjax.diffusion import immse
from genjax.diffusion import likelihood
from genjax.diffusion.certified_laws import MIXTURE
from genjax.diffusion.certified_laws import moments
from genjax.diffusion.certified_laws import quantiles
from genjax.distributions.base import MonteCarlo
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process

POINTS = 256  # of the data, each of the same probability
_EFFORT: dict[str, Any] = {'num_times': 64, 'num_samples': 32}


class Nats(Protocol):
  """log p(x) of x [B, 1] by a road."""

  def __call__(
      self, process: Process, denoiser: Denoiser, x: Array, data_std: float
  ) -> MonteCarlo:
    ...


def _flow(process: Process, denoiser: Denoiser, x: Array, data_std: float, *,
          num_steps: int) -> MonteCarlo:
  return likelihood.log_likelihood(
      None, process, denoiser, x,
      likelihood.grid(process, num_steps, data_std=data_std), data_std=data_std)


def _bound(process: Process, denoiser: Denoiser, x: Array, data_std: float
           ) -> MonteCarlo:
  times = likelihood.grid(process, 1, data_std=data_std)
  return bounds.continuous(jax.random.key(0), process, denoiser, x, times,
                           data_std=data_std, **_EFFORT).log_prob


def _chain(process: Process, denoiser: Denoiser, x: Array, data_std: float, *,
           num_steps: int) -> MonteCarlo:
  times = likelihood.grid(process, num_steps, data_std=data_std)
  return bounds.discrete(jax.random.key(0), process, denoiser, x, times,
                         data_std=data_std, num_samples=32).log_prob


def _immse(process: Process, denoiser: Denoiser, x: Array, data_std: float
           ) -> MonteCarlo:
  times = likelihood.grid(process, 1, data_std=data_std)
  return immse.log_likelihood(jax.random.key(0), process, denoiser, x, times,
                              data_std=data_std, **_EFFORT)


ROADS: Mapping[str, Nats] = {
    'flow 16 steps': functools.partial(_flow, num_steps=16),
    'flow 64 steps': functools.partial(_flow, num_steps=64),
    'chain 100 steps': functools.partial(_chain, num_steps=100),
    'chain 1000 steps': functools.partial(_chain, num_steps=1000),
    'continuous bound': _bound,
    'I-MMSE': _immse,
}


class Errors(NamedTuple):
  """Of log p(x), nats, over the data."""

  mean: float  # negative is too low
  noise: float  # standard error of it
  largest: float  # of a single x


@functools.cache
def _data() -> tuple[np.ndarray, np.ndarray]:
  """x [POINTS] of the mixture, and their log-densities."""
  share = (np.arange(POINTS) + 0.5) / POINTS
  x = quantiles(special.ndtri(share))
  z = (x[:, None] - MIXTURE.means) / np.sqrt(MIXTURE.variances)
  nats = special.logsumexp(
      special.log_softmax(MIXTURE.logits) - 0.5 * (
          z**2 + np.log(2 * np.pi * MIXTURE.variances)), axis=1)
  return x, nats


def nats(road: Nats, process: Process, x: Any) -> MonteCarlo:
  """log p(x) of x [B] on the line by a road, with the exact denoiser."""
  truth = exact.gaussian_mixture(
      process, MIXTURE.logits, MIXTURE.means[:, None],
      MIXTURE.variances[:, None, None])
  return road(process, truth.denoiser, jnp.asarray(x)[:, None],
              moments(MIXTURE)[1]**0.5)


def errors(road: Nats, process: Process) -> Errors:
  """What the road is off by on the mixture."""
  x, want = _data()
  found = jax.jit(functools.partial(nats, road, process))(x)
  off = np.asarray(found.value) - want
  noise = np.asarray(found.standard_error)
  return Errors(float(off.mean()), float(np.sqrt(np.sum(noise**2)) / len(x)),
                float(np.abs(off).max()))
