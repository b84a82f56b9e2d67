"""Products of powers of diffusion runs, by sequential Monte Carlo."""

import math
from typing import Any, NamedTuple, Protocol, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.diffusion import fields
from genjax.diffusion import process as processes
from genjax.diffusion import samplers
from genjax.diffusion import smc
from genjax.diffusion.model import make_denoiser
from genjax.runs.guides import check_pair
from genjax.runs.task import Run
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Params

_BLOCK = 2**18  # numbers in the particles that are drawn at a time, at most


class Composed(NamedTuple):
  """One draw of each of N runs of particles, and what these weigh."""

  x: Any  # [N, ...] as the models are given it
  log_z: Any  # [N] nats, log of an estimate of Z without bias
  effective: Any  # [N] effective number of particles at the end


class Compose(Protocol):
  """N draws of a composition, under conditions [N, ...] where there are."""

  def __call__(self, key: Key, num: int, cond: Cond | None = None) -> Composed:
    ...


def make_composition(
    run: Run, others: Sequence[Run], exponents: Sequence[float], *,
    particles: int = 64
) -> Compose:
  """Draws from prod p_i(x)^b_i / Z of runs under one condition.

  See `smc.composed`: without others it is a tempered run. It goes by the grid
  of `run`, its noise process and its data_std, whatever those of the others
  are; guidance is that of none. A draw does not depend on how many there are.

  Args:
    run: of a diffusion model.
    others: runs of diffusion models of the same data.
    exponents: b_i, of `run` first.
    particles: P, of each draw.

  Raises:
    ValueError: runs of other kinds or of other data; exponents that are not one
      a run, finite and of positive sum; a process without signal at its first
      time.
  """
  for other in (run, *others):
    check_pair('compose', run, other)
  num = len(others) + 1
  check(len(exponents) == num, 'exponents', f'must be {num}, one a run',
        len(exponents))
  total = sum(exponents)
  check(math.isfinite(total) and total > 0, 'exponents', 'must be finite '
        'numbers of a positive sum', ','.join(map(str, exponents)))
  check(particles >= 1, 'particles', 'must be at least 1', particles)
  settings = run.settings
  all_parts = [one.task.build(one.settings).parts for one in (run, *others)]
  all_params = [one.params for one in (run, *others)]
  check(not all_parts[0].diffusion.process_of(run.params).ends_in_noise,
        'workdir', 'must be of a noise process that leaves some signal at its '
        'first time, or its models cannot be composed', settings.process)
  makes = [make_denoiser(parts.diffusion) for parts in all_parts]

  @jax.jit
  def draw(
      params: list[Params], key: Key, examples: tuple[Array, Cond | None]
  ) -> Composed:
    index, cond = examples
    cond = jax.tree.map(lambda c: jnp.repeat(c, particles, axis=0), cond)
    own = [parts.diffusion.process_of(p)
           for parts, p in zip(all_parts, params)]
    process, times = own[0], all_parts[0].draw.times(params[0])
    denoisers = [make(p, cond) for make, p in zip(makes, params)]
    first, *rest = map(smc.over_particles, [denoisers[0], *(
        fields.on_process(process, theirs, denoiser)
        for theirs, denoiser in zip(own[1:], denoisers[1:]))])
    key_prior, key_steps, key_pick = jax.random.split(key, 3)
    x = processes.prior_sample(
        key_prior, process, (index.shape[0], particles, *settings.shape),
        settings.data_std, time=times[0], index=index)
    sampled = samplers.sample(
        key_steps, smc.composed(process, rest, exponents,
                                data_std=settings.data_std),
        first, x, times, index=index)
    return Composed(smc.pick(key_pick, sampled, index),
                    smc.log_evidence(sampled.carry),
                    smc.effective(sampled.carry.log_weights))

  def compose(key: Key, num: int, cond: Cond | None = None) -> Composed:
    block = max(1, min(num, _BLOCK // (particles * math.prod(settings.shape))))
    found = []
    for start in range(0, num, block):
      # The last block is full, so that nothing is compiled twice.
      index = np.arange(start, start + block)
      part = jax.tree.map(lambda c, rows=np.minimum(index, num - 1): c[rows],
                          cond)
      found.append(jax.tree.map(np.asarray, parallel.on_every_device(draw)(
          all_params, key, (index, part))))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:num], *found)

  return compose
