"""Drawing from a diffusion model, compiled once for all params and labels."""

import functools
import math
from typing import Any, Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion.guided import Guidance
from genjax.diffusion.guided import guide
from genjax.diffusion.guided import is_none
from genjax.diffusion.model import MakeDenoiser
from genjax.diffusion.model import ProcessOf
from genjax.diffusion.times import check_grid
from genjax.numerics import labels_each
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape

_BLOCK = 100  # samples at a time


class DrawBatch(Protocol):
  """Samples of a batch, one an index: [B, ...], or [T + 1, B, ...] of states.

  The noise of a sample is that of its index [B]: the batch size does not
  matter. `cond` is of [B, ...].
  """

  def __call__(self, params: Params, key: Key, index: Array,
               cond: Cond | None = None) -> Array:
    ...


class Draw(NamedTuple):
  """How a model draws, by one method on one grid."""

  last: DrawBatch
  trajectory: DrawBatch  # x at each of the times
  times: Callable[[Params], Array]  # params -> [T + 1]


def make_draw(
    denoiser: MakeDenoiser, process_of: ProcessOf,
    make_sampler: Callable[[Process], samplers.Sampler],
    grid: Callable[[Process], Array], shape: Shape, *, data_std: float,
    guided: Guidance
) -> Draw:
  """Noise to data, in one program for all params, keys and conditions.

  Args:
    denoiser: (params, cond) -> the denoiser of the model.
    process_of: (params) -> the process, asked within that program.
    make_sampler: (process) -> the method.
    grid: (process) -> the times [T + 1].
    shape: of an example.
    data_std: standard deviation of the data.
    guided: how a condition is followed.
  """

  def times_of(params: Params) -> Array:
    proc = process_of(params)
    return check_grid(proc, grid(proc))

  @functools.partial(jax.jit, static_argnames='trajectory')
  def draw(params: Params, key: Key, index: Array, cond: Cond | None,
           scale: float, trajectory: bool) -> Array:
    proc, times = process_of(params), times_of(params)
    key_prior, key_steps = jax.random.split(key)
    sampler, denoise = make_sampler(proc), denoiser(params, cond)
    if not is_none(guided):
      sampler, denoise = guide(guided, proc, sampler, denoise, denoiser(params),
                               scale, times)
    x = process.prior_sample(key_prior, proc, (index.shape[0], *shape),
                             data_std, time=times[0], index=index)
    sampled = samplers.sample(key_steps, sampler, denoise, x, times,
                              index=index, trajectory=trajectory)
    return sampled.x if sampled.states is None else sampled.states

  def call(trajectory: bool, params: Params, key: Key, index: Array,
           cond: Cond | None = None) -> Array:

    def examples(params: Params, key: Key, index_and_cond: Any) -> Array:
      return draw(params, key, *index_and_cond, guided.scale, trajectory)

    # Samples are independent: the devices share them.
    return parallel.on_every_device(examples, axis=int(trajectory))(
        params, key, (index, cond))

  return Draw(functools.partial(call, False), functools.partial(call, True),
              times_of)


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
    cond = {'label': labels_each(key_label, num, classes)}
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
