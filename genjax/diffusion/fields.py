"""Vector fields of a denoiser: the score, the flow's velocity, divergences."""

import math
from typing import Callable

import jax
import jax.numpy as jnp

from genjax.diffusion.process import coefficients
from genjax.diffusion.process import flow_velocity
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process


def score(process: Process, denoiser: Denoiser, x: Array, t: Array) -> Array:
  """Gradient of log p(x_t) in x_t [B, ...], by Tweedie's formula.

  (alpha E[x_0 | x_t] - x_t) / sigma^2: arXiv:2206.00364, eq. 3.
  """
  alpha, sigma = coefficients(process, t, x.ndim)
  x = widen(x)
  return (alpha * denoiser(x, t) - x) / jnp.square(sigma)


def velocity(process: Process, denoiser: Denoiser, x: Array, t: Array) -> Array:
  """dx/dt [B, ...] of the probability flow at x [B, ...] and t, [] or [B].

  arXiv:2011.13456, eq. 13; see `process.flow_velocity`.
  """
  x = widen(x)
  return flow_velocity(process, denoiser(x, t), x, t)


def divergence(
    field: Callable[[Array, Array], Array], x: Array, t: Array
) -> Array:
  """Trace of the Jacobian in x of a field [B, ...]: [B].

  Exact, by one derivative a data dimension, one after the other: for a few
  hundred dimensions at most.

  Args:
    field: (x, t) -> [B, ...] like x, of each example alone: a denoiser, or a
      `velocity` or `score` of one.
    x: [B, ...].
    t: [] or [B].
  """
  x = widen(x)
  size = math.prod(x.shape[1:])
  row = jnp.arange(size).reshape(x.shape[1:])

  def along(i: Array) -> Array:
    axis = jnp.broadcast_to((row == i).astype(x.dtype), x.shape)
    slope = jax.jvp(lambda x: field(x, t), (x,), (axis,))[1]
    return jnp.sum(axis * slope, axis=tuple(range(1, x.ndim)))

  return jnp.sum(jax.lax.map(along, jnp.arange(size)), axis=0)
