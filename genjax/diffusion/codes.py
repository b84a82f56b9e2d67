"""Codes of data: the noise to which the probability-flow ODE takes them."""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process


class Flow(NamedTuple):
  """Data to noise and back along the probability-flow ODE, by DPM-Solver++.

  Song et al., arXiv:2011.13456, sec. 4.3. A code is the state at the time of
  most noise, divided by its standard deviation there. Not compiled.
  """

  encode: Callable[[Denoiser, Array], Array]  # x [B, ...] -> z [B, ...]
  decode: Callable[[Denoiser, Array], Array]  # z [B, ...] -> x [B, ...]


def make_flow(
    proc: Process, num_steps: int, *, data_std: float, sigma_min: float,
    sigma_max: float
) -> Flow:
  """On a grid of steps, short of no noise and of nothing but noise.

  Args:
    proc: the process.
    num_steps: of the solver.
    data_std: standard deviation of the data.
    sigma_min: noise over signal next to the data.
    sigma_max: noise over signal at the codes, at most; those of a learned
      process are at its levels.

  Raises:
    ValueError: noise levels that the process has not. Those that a learned
      process has not give NaN.
  """
  sampler = samplers.dpm_solver_2m(proc)
  # At infinite noise over signal codes are not defined.
  if (reach := times.reach(proc)) is not None:
    sigma_max = min(sigma_max, math.exp(-0.5 * reach[0]))
  grid = times.karras(proc, num_steps + 1, sigma_min=sigma_min,
                      sigma_max=sigma_max)
  alpha = proc.alpha(grid[-1])
  scale = jnp.hypot(proc.alpha(grid[0]) * data_std, proc.sigma(grid[0]))

  def encode(denoiser: Denoiser, x: Array) -> Array:
    return samplers.encode(sampler, denoiser, alpha * x, grid).x / scale

  def decode(denoiser: Denoiser, z: Array) -> Array:
    nothing_drawn = jax.random.key(0)
    return samplers.sample(nothing_drawn, sampler, denoiser, scale * z,
                           grid).x / alpha

  return Flow(encode, decode)
