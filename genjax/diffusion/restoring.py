"""Drawing x given a measurement of it: solvers by name, compiled once."""

from typing import Callable, NamedTuple, Protocol

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
  """One program for all params, keys, measurements and conditions.

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
  check(noise_std > 0 or solver not in ('dps', *EXACT), solver, 'noise_std '
        'must be positive, for its likelihood is that of the noise', noise_std)
  many = options.particles if solver in EXACT else None

  @jax.jit
  def restore(params: Params, key: Key, index: Array, y: Array,
              cond: Cond | None) -> Restored:
    proc = process_of(params)
    times = check_grid(proc, grid(proc))
    key_prior, key_steps, key_pick = jax.random.split(key, 3)
    lead = (index.shape[0],) if many is None else (index.shape[0], many)
    x = processes.prior_sample(
        key_prior, proc, (*lead, *operator.event), options.data_std,
        time=times[0], index=index)
    if many is not None:
      cond = jax.tree.map(lambda c: jnp.repeat(c, many, axis=0), cond)
    told = operators.measure(solver, operator, y, noise_std)
    sampler, denoise = SOLVERS[solver](
        proc, denoiser(params, cond), told, options)
    done = samplers.sample(key_steps, sampler, denoise, x, times, index=index)
    if many is None:
      return Restored(done.x, jnp.full(index.shape, jnp.nan))
    return Restored(smc.pick(key_pick, done, index),
                    smc.log_evidence(done.carry[0]))

  def call(params: Params, key: Key, index: Array, y: Array,
           cond: Cond | None = None) -> Restored:

    def examples(params: Params, key: Key, each: tuple) -> Restored:
      return restore(params, key, *each)

    return parallel.on_every_device(examples)(params, key, (index, y, cond))

  return call
