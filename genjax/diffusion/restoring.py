"""Drawing x given a measurement of it: solvers by name, compiled once."""

from typing import Any, Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_choice
from genjax.diffusion import inverse
from genjax.diffusion import operators
from genjax.diffusion import process as processes
from genjax.diffusion import samplers
from genjax.diffusion import smc
from genjax.diffusion.model import MakeDenoiser
from genjax.diffusion.model import ProcessOf
from genjax.diffusion.operators import Measurement
from genjax.diffusion.operators import Operator
from genjax.diffusion.samplers.solve import Sampler
from genjax.diffusion.times import check_grid
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process


class Options(NamedTuple):
  """Of the solvers; each uses what it knows."""

  data_std: float  # standard deviation of the data
  scale: float = 1.0  # of dps and pigdm: factor of the gradient
  repeats: int = 10  # of repaint
  particles: int = 16  # of smc


Made = tuple[Sampler, Denoiser]


def _replacement(
    process: Process, denoiser: Denoiser, told: Measurement, options: Options
) -> Made:
  del options
  return inverse.replacement(
      process, samplers.ancestral(process), told), denoiser


def _repaint(
    process: Process, denoiser: Denoiser, told: Measurement, options: Options
) -> Made:
  return inverse.repaint(process, samplers.ancestral(process), told,
                         repeats=options.repeats), denoiser


def _dps(
    process: Process, denoiser: Denoiser, told: Measurement, options: Options
) -> Made:
  return samplers.ancestral(process), inverse.dps(
      process, denoiser, told, scale=options.scale)


def _pigdm(
    process: Process, denoiser: Denoiser, told: Measurement, options: Options
) -> Made:
  return samplers.ancestral(process), inverse.pigdm(
      process, denoiser, told, data_std=options.data_std, scale=options.scale)


def _smc(
    process: Process, denoiser: Denoiser, told: Measurement, options: Options
) -> Made:
  twist = inverse.make_twist(process, told, options.data_std)
  return smc.twisted(process, twist), smc.over_particles(denoiser)


# Name -> what makes a sampler and what it draws from.
SOLVERS: dict[str, Callable[..., Made]] = {
    'replacement': _replacement,
    'repaint': _repaint,
    'dps': _dps,
    'pigdm': _pigdm,
    'smc': _smc,
}
EXACT = ('smc',)  # those that are right in the limit, and estimate log p(y)
NEEDS_NOISE = ('dps', *EXACT)  # whose likelihood is that of the noise


class Restored(NamedTuple):
  """Draws of x given y."""

  x: Array  # [B, *event]
  log_evidence: Array  # [B] estimate of log p(y), nats; NaN where there is none


class Restore(Protocol):
  """A draw for each of B measurements, by the noise of its index [B]."""

  def __call__(self, params: Params, key: Key, index: Array, y: Array,
               cond: Cond | None = None) -> Restored:
    ...


def make_restore(
    denoiser: MakeDenoiser, process_of: ProcessOf,
    grid: Callable[[Process], Array], operator: Operator, solver: str, *,
    noise_std: float, options: Options
) -> Restore:
  """Steps that are compiled once for all params, measurements and conditions.

  Args:
    denoiser: (params, cond) -> the denoiser of the model.
    process_of: (params) -> the process, asked within that program.
    grid: (process) -> the times [T + 1].
    operator: what was measured.
    solver: one of SOLVERS.
    noise_std: standard deviation of the measurement's noise.
    options: of the solver.

  Raises:
    ValueError: no such solver, or one that needs noise where there is none.
  """
  check_choice('make_restore', 'solver', solver, SOLVERS)
  check(noise_std > 0 or solver not in NEEDS_NOISE, solver, 'noise_std '
        'must be positive, for its likelihood is that of the noise', noise_std)
  many = options.particles if solver in EXACT else None

  def parts_of(params: Params, key: Key, y: Array, cond: Cond | None):
    """What is drawn by, from what, when, and the keys."""
    proc = process_of(params)
    if many is not None:
      cond = jax.tree.map(lambda c: jnp.repeat(c, many, axis=0), cond)
    sampler, denoise = SOLVERS[solver](
        proc, denoiser(params, cond),
        operators.measure(solver, operator, y, noise_std), options)
    return (proc, sampler, denoise, check_grid(proc, grid(proc)),
            jax.random.split(key, 3))

  @jax.jit
  def begin(params: Params, key: Key, index: Array, y: Array,
            cond: Cond | None) -> tuple[Any, Array]:
    proc, sampler, _, times, keys = parts_of(params, key, y, cond)
    lead = (index.shape[0],) if many is None else (index.shape[0], many)
    x = processes.prior_sample(
        keys[0], proc, (*lead, *operator.event), options.data_std,
        time=times[0], index=index)
    return sampler.init(x), x

  @jax.jit
  def advance(params: Params, key: Key, index: Array, y: Array,
              cond: Cond | None, state: tuple[Any, Array],
              step: int) -> tuple[Any, Array]:
    _, sampler, denoise, times, keys = parts_of(params, key, y, cond)
    return samplers.advance(keys[1], sampler, denoise, *state, times,
                            jnp.asarray(step), index=index)

  @jax.jit
  def finish(key: Key, index: Array, state: tuple[Any, Array]) -> Restored:
    carry, x = state
    if many is None:
      return Restored(x, jnp.full(index.shape, jnp.nan))
    done = samplers.Sampled(x, carry, None)
    return Restored(smc.pick(jax.random.split(key, 3)[2], done, index),
                    smc.log_evidence(carry[0]))

  def examples(params: Params, key: Key, each: tuple) -> Restored:
    count = jax.eval_shape(lambda p: grid(process_of(p)), params).shape[0] - 1
    state = begin(params, key, *each)
    for step in range(count):
      state = advance(params, key, *each, state, step)
    return finish(key, each[0], state)

  shared = parallel.on_every_device(examples)
  return lambda params, key, index, y, cond=None: shared(
      params, key, (index, y, cond))
