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


def before_noise(process: Process, t: Array) -> Array:
  """t, but short of where alpha is 0 and slopes in x_t say no more of x_0.

  No later than the log-SNR -10. What a slope is multiplied by there, sigma^2 /
  alpha, is finite, and x_t is still that of t to 1e-4 where a process ends in
  noise; others are left as they are.
  """
  if not process.ends_in_noise:
    return t
  return jnp.minimum(t, process.time(jnp.asarray(-10.0, widen(t).dtype)))


def shift(process: Process, slope: Array, t: Array) -> Array:
  """What is added to E[x_0 | x_t] [B, ...] where `slope` is to the score.

  sigma^2 / alpha times it, by Tweedie's formula; see `score`.
  """
  alpha, sigma = coefficients(process, t, slope.ndim)
  return jnp.square(sigma) / alpha * slope


def on_process(
    process: Process, other: Process, denoiser: Denoiser
) -> Denoiser:
  """A denoiser of the process `other` as one of `process`.

  x_t of one is a multiple of x_t of the other at the time of the same
  log-SNR. Beyond the times of `other` it is asked at its ends.
  """
  if process is other:
    return denoiser

  def denoise(x: Array, t: Array) -> Array:
    there = jnp.clip(other.time(process.log_snr(t)), other.t_min, other.t_max)
    size, others_size = (jnp.hypot(*coefficients(p, time, x.ndim))
                         for p, time in ((process, t), (other, there)))
    return denoiser((x * (others_size / size)).astype(x.dtype), there)

  return denoise


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
  return value_and_divergence(field, x, t)[1]


def value_and_divergence(
    field: Callable[[Array, Array], Array], x: Array, t: Array,
    probes: Array | None = None
) -> tuple[Array, Array]:
  """A field [B, ...] at x, and the trace of its Jacobian there.

  Args:
    field: as of `divergence`.
    x: [B, ...].
    t: [] or [B].
    probes: [R, B, ...] of covariance I, each of which estimates the trace by
      one derivative (Hutchinson; arXiv:1810.01367, eq. 7): those of entries
      -1 and 1 with the least variance. None is the exact trace.

  Returns:
    The value, and the trace [B]; with probes [R, B], one estimate a probe.
  """
  x = widen(x)
  value, slopes = jax.linearize(lambda x: field(x, t), x)
  axes = tuple(range(1, x.ndim))
  if probes is not None:
    return value, jax.lax.map(
        lambda probe: jnp.sum(probe * slopes(probe), axis=axes), probes)
  size = math.prod(x.shape[1:])
  row = jnp.arange(size).reshape(x.shape[1:])

  def along(i: Array) -> Array:
    axis = jnp.broadcast_to((row == i).astype(x.dtype), x.shape)
    return jnp.sum(axis * slopes(axis), axis=axes)

  return value, jnp.sum(jax.lax.map(along, jnp.arange(size)), axis=0)
