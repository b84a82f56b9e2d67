"""A diffusion model as a distribution of data: draws, estimates of log p(x)."""

import math
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion import guidance
from genjax.diffusion import likelihood
from genjax.diffusion import samplers
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.process import prior_sample
from genjax.distributions.base import Distribution
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape

# The divergence is exact up to as many dimensions, each of which costs a
# derivative; beyond, as many probes cost the same. Of 8x8 digits their error is
# .02 nats a dimension, and 64 derivatives take a second an image on a CPU.
EXACT = 16

# Axes of a condition's parts, beside those of the batch.
_AXES = {'label': 0, 'absent': 0, 'vector': 1, 'image': 3}


class DiffusionParams(NamedTuple):
  """The params of a diffusion model, and the condition where it knows any."""

  params: Params
  cond: Cond | None = None  # of [*batch, ...]


def as_distribution(
    model: Diffusion, key: Key, *, shape: Shape,
    sampler: Callable[[Process], samplers.Sampler] = samplers.dpm_solver_2m,
    sampling_steps: int = 32, num_steps: int = 32, sigma_min: float = 0.002,
    num_probes: int | None = None, most: int = 128
) -> Distribution:
  """p(x) of a diffusion model, of `DiffusionParams`; log_prob is in nats.

  It is that of the probability-flow ODE, `likelihood.log_likelihood`. Its
  divergence is exact up to 16 dimensions; for more it is estimated by 16 probes
  that `key` fixes and all x share: log_prob is a pure function, whose value at
  one x does not depend on what is beside it. Draws are by a sampler, whose law
  differs from that of the flow by the errors of both.

  Args:
    model: the model.
    key: of the probes.
    shape: of an event.
    sampler: (process) -> the method by which x is drawn.
    sampling_steps: of the sampler, on the process's own grid.
    num_steps: of the ODE, on `likelihood.grid`.
    sigma_min: noise over signal at which the ODE starts.
    num_probes: where given, the divergence is estimated by so many whatever the
      number of dimensions.
    most: events that are scored at once, which bounds the memory.

  Raises:
    ValueError: a number that is not positive; an event of another shape, or a
      part of a condition of unknown shape, when it is called.
  """
  for name, value in (('most', most), ('sampling_steps', sampling_steps),
                      ('num_steps', num_steps), ('sigma_min', sigma_min)):
    check_positive('as_distribution', name, value)
  make, event = guidance.mixing(make_denoiser(model)), tuple(shape)
  if num_probes is None and math.prod(event) > EXACT:
    num_probes = EXACT

  def sample(key: Key, params: DiffusionParams, shape: Shape = ()) -> Array:
    own, cond = params
    batch = (*shape, *_batch_of(cond))
    process, denoiser = model.process_of(own), make(own, _rows(cond, batch))
    key_prior, key_steps = jax.random.split(key)
    grid = process.grid(sampling_steps)
    x = prior_sample(key_prior, process, (math.prod(batch), *event),
                     model.data_std, time=grid[0])
    return samplers.sample(key_steps, sampler(process), denoiser, x,
                           grid).x.reshape(*batch, *event)

  def log_prob(params: DiffusionParams, x: Array) -> Array:
    own, cond = params
    split = max(0, x.ndim - len(event))
    check(x.shape[split:] == event, 'as_distribution', 'x must be [..., '
          f'{", ".join(map(str, event))}]', f'shape {x.shape}')
    batch = jnp.broadcast_shapes(x.shape[:split], _batch_of(cond))
    process = model.process_of(own)
    grid = likelihood.grid(process, num_steps, data_std=model.data_std,
                           sigma_min=sigma_min)

    def of_row(row: tuple[Array, Cond | None]) -> Array:
      x, cond = jax.tree.map(lambda part: part[None], row)
      return likelihood.log_likelihood(
          key, process, make(own, cond), x, grid, data_std=model.data_std,
          num_probes=num_probes, index=jnp.zeros(1, int)).value[0]

    rows = jnp.broadcast_to(x, (*batch, *event)).reshape(-1, *event)
    nats = jax.lax.map(of_row, (rows, _rows(cond, batch)), batch_size=most)
    return nats.reshape(batch)

  return Distribution(sample, log_prob, len(event), 'estimate')


def _axes(name: str, part: Any) -> int:
  """Of one condition; a label may be shares of the classes."""
  check(name in _AXES, 'as_distribution', 'a condition must be one of '
        f'{", ".join(_AXES)}', repr(name))
  shares = name == 'label' and not jnp.issubdtype(
      jnp.result_type(part), jnp.integer)
  return _AXES[name] + shares


def _batch_of(cond: Cond | None) -> Shape:
  """The shape of a batch of conditions; () of none."""
  return jnp.broadcast_shapes(*(
      jnp.shape(part)[:jnp.ndim(part) - _axes(name, part)]
      for name, part in (cond or {}).items()))


def _rows(cond: Cond | None, batch: Shape) -> Cond | None:
  """Conditions [N, ...] of a batch of N."""
  if cond is None:
    return None
  found = {}
  for name, part in cond.items():
    part, axes = jnp.asarray(part), _axes(name, part)
    own = part.shape[part.ndim - axes:]
    found[name] = jnp.broadcast_to(part, (*batch, *own)).reshape(-1, *own)
  return found
