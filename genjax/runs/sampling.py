"""How a diffusion run draws: compiled once, whatever the params and labels."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.diffusion import guidance
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.numerics import fold_in_each
from genjax.runs.diffusion_parts import SAMPLERS
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape

_BLOCK = 100  # samples at a time


class Draw(NamedTuple):
  """Samples of a batch, one an index, by the method of the settings.

  The noise of a sample is that of its index: the batch size does not matter.
  """

  # (params, key, index [B], cond of [B, ...] or None) -> x [B, ...]
  last: Any
  trajectory: Any  # the same -> x at each of the times [T + 1, B, ...]
  times: Array  # [T + 1]


def make_draw(
    settings: Any, model: Diffusion, proc: Process, *, classes: bool
) -> Draw:
  """Noise to data by the sampler, steps and guidance of the settings.

  Args:
    settings: of a diffusion model.
    model: the model.
    proc: its process.
    classes: whether it is told a condition.

  Raises:
    ValueError: a grid that the process has not; guidance of a model that is
      told nothing.
  """
  scale = settings.guidance
  check(scale == 1 or classes, 'guidance',
        'must be 1 for an unconditional model', scale)
  low, high = settings.guidance_log_snr
  check(low < high, 'guidance_log_snr', 'must be two numbers that rise',
        settings.guidance_log_snr)
  method = SAMPLERS[settings.sampler](proc)
  denoiser = make_denoiser(model)
  grid = times.check_grid(proc, proc.grid(settings.sampling_steps))

  @functools.partial(jax.jit, static_argnames='trajectory')
  def draw(params, key, index, cond, scale, times, trajectory):
    key_prior, key_steps = jax.random.split(key)
    denoise = denoiser(params, cond)
    if settings.guidance != 1:
      denoise = guidance.limited_interval(
          proc, guidance.classifier_free(denoise, denoiser(params), scale),
          denoise, log_snr_low=low, log_snr_high=high)
    x = process.prior_sample(
        key_prior, proc, (index.shape[0], *settings.shape), settings.data_std,
        index=index)
    sampled = samplers.sample(key_steps, method, denoise, x, times, index=index,
                              trajectory=trajectory)
    return sampled.states if trajectory else sampled.x

  def call(trajectory, params, key, index, cond=None):
    # Samples are independent: where the devices divide the batch, they share.
    index, cond = parallel.split_batch((index, cond), parallel.make_mesh())
    return draw(params, key, index, cond, scale, grid, trajectory)

  return Draw(functools.partial(call, False), functools.partial(call, True),
              grid)


def sample(
    draw: Draw, params: Params, key: Key, shape: Shape, cond: Cond | None,
    classes: int | None
) -> Array:
  """Draws [*shape, *event], some at a time, in the memory of the host.

  Args:
    draw: of the model.
    params: of it; where they are traced, so is the result.
    key: of the draw.
    shape: of the samples.
    cond: of [*shape, ...]; None draws labels at random, if there are classes.
    classes: their number, or None.
  """
  num = math.prod(shape)
  if cond is not None:
    cond = {name: jnp.asarray(x).reshape(num, *jnp.shape(x)[len(shape):])
            for name, x in cond.items()}
  elif classes is not None:
    key, key_label = jax.random.split(key)
    cond = {'label': jax.vmap(lambda k: jax.random.randint(k, (), 0, classes))(
        fold_in_each(key_label, jnp.arange(num)))}
  # At least one block, and a full last one, so that nothing is compiled twice.
  block = max(1, min(_BLOCK, num))
  starts = range(0, max(1, num), block)
  cond = jax.tree.map(lambda c: jnp.concatenate([c, jnp.zeros(
      (len(starts) * block - num, *c.shape[1:]), c.dtype)]), cond)
  parts = []
  for start in starts:
    part = jax.tree.map(lambda c, i=start: c[i:i + block], cond)
    x = draw.last(params, key, jnp.arange(start, start + block), part)
    parts.append(x if isinstance(x, jax.core.Tracer) else np.asarray(x))
  of = jnp if isinstance(parts[0], jax.core.Tracer) else np
  x = of.concatenate(parts)[:num]
  return x.reshape(*shape, *x.shape[1:])


class Flow(NamedTuple):
  """Data to noise and back along the probability-flow ODE, by DPM-Solver++.

  Song et al., arXiv:2011.13456, sec. 4.3. A code is the state at the time of
  most noise, divided by its standard deviation there. Not compiled.
  """

  encode: Any  # (denoiser, x [B, ...]) -> z [B, ...]
  decode: Any  # (denoiser, z [B, ...]) -> x [B, ...]


def make_flow(settings: Any, proc: Process) -> Flow:
  """On a grid of `sampling_steps`, short of no noise and of nothing but noise.

  Args:
    settings: of a diffusion model.
    proc: its process.

  Raises:
    ValueError: noise levels that the process has not.
  """
  sampler = samplers.dpm_solver_2m(proc)
  with jax.ensure_compile_time_eval():
    # At infinite noise over signal codes are not defined.
    most = float(jnp.exp(-0.5 * proc.log_snr(jnp.asarray(proc.t_max))))
    grid = times.karras(
        proc, settings.sampling_steps + 1, sigma_min=settings.sigma_min,
        sigma_max=min(settings.sigma_max, most))
    alpha = proc.alpha(grid[-1])
    scale = jnp.hypot(proc.alpha(grid[0]) * settings.data_std,
                      proc.sigma(grid[0]))

  def encode(denoiser: Denoiser, x: Array) -> Array:
    return samplers.encode(sampler, denoiser, alpha * x, grid).x / scale

  def decode(denoiser: Denoiser, z: Array) -> Array:
    nothing_drawn = jax.random.key(0)
    return samplers.sample(nothing_drawn, sampler, denoiser, scale * z,
                           grid).x / alpha

  return Flow(encode, decode)
