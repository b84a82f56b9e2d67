"""The ways in which a run says how likely data are."""

import functools
from typing import Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from genjax.diffusion import bounds
from genjax.diffusion import immse
from genjax.diffusion import likelihood
from genjax.diffusion.model import make_denoiser
from genjax.distributions.base import MonteCarlo
from genjax.runs.task import Run
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process

_BLOCK = 50  # examples at a time
_MOST_LEVELS = 1024  # of each value at once


class Effort(NamedTuple):
  """How much is computed of a diffusion run."""

  num_steps: int = 16  # of the flow
  num_probes: int | None = 8  # of its divergence; None is exact
  tolerance: float | None = None  # of adaptive steps, in place of the former
  num_times: int = 16  # levels of an estimate of the bound and of I-MMSE
  num_samples: int = 8  # estimates


class Scores(NamedTuple):
  """Log-densities of N examples, nats, float64."""

  nats: np.ndarray  # [N]
  noise: np.ndarray  # [N], their standard errors


class Nats(Protocol):
  """Log-densities of examples x [N, ...] under conditions [N, ...]."""

  def __call__(self, key: Key, x: np.ndarray, cond: Cond | None) -> Scores:
    ...


class Road(NamedTuple):
  """One way to a log-density."""

  name: str
  nats: Nats
  of_levels: bool = False  # a mass of x on levels, not a density
  # Whether the noise of its values is that of the flow's probes or less, which
  # the mean of several exponentials of it bears.
  smooth: bool = True


def roads_of(run: Run, effort: Effort, num_levels: int | None) -> list[Road]:
  """Those that a run has, the first of which is the one to rank by.

  Of a diffusion run the flow, the variational bound, I-MMSE, and the bound of
  the mass of the levels, where it was trained on data that are on any, 1,024 at
  most, and not between them. Of other runs their log_prob.

  Raises:
    ValueError: the run has no density.
  """
  if run.task.kind == 'diffusion':
    return _of_diffusion(run, effort, num_levels)
  log_prob = run.log_prob
  if log_prob is None:
    raise ValueError('workdir: must hold a run that has a density, got one of '
                     f'kind {run.task.kind}')

  def nats(key: Key, x: np.ndarray, cond: Cond | None) -> Scores:
    del key
    found = np.asarray(log_prob(jnp.asarray(x), cond), np.float64)
    return Scores(found, np.zeros_like(found))

  return [Road(run.density or 'log_prob', nats,
               of_levels='mass' in (run.density or ''))]


def _of_diffusion(
    run: Run, effort: Effort, num_levels: int | None
) -> list[Road]:
  settings = run.settings
  model = run.task.build(settings).parts.diffusion
  denoiser, std = make_denoiser(model), model.data_std
  Estimate = Callable[[Key, Process, Denoiser, Array, Array, Array], MonteCarlo]

  def road(estimate: Estimate) -> Nats:

    @parallel.on_every_device
    @jax.jit
    def call(params, key, examples):
      x, cond, index = examples
      process = model.process_of(params)
      grid = likelihood.grid(process, effort.num_steps, data_std=std,
                             sigma_min=settings.sigma_min)
      return estimate(key, process, denoiser(params, cond), x, grid, index)

    return _in_blocks(functools.partial(call, run.params))

  sampled = {'data_std': std, 'num_times': effort.num_times,
             'num_samples': effort.num_samples}
  found = [
      Road('flow', road(
          lambda *args: likelihood.log_likelihood(
              *args[:-1], index=args[-1], data_std=std,
              num_probes=effort.num_probes, tolerance=effort.tolerance))),
      Road('bound', road(lambda *args: bounds.continuous(
          *args[:-1], index=args[-1], **sampled).log_prob), smooth=False),
      Road('immse', road(lambda *args: immse.log_likelihood(
          *args[:-1], index=args[-1], **sampled)), smooth=False)]
  if num_levels is not None and not settings.dequantise and (
      num_levels <= _MOST_LEVELS):
    found.append(Road('bound_of_levels', road(
        lambda *args: bounds.continuous(
            *args[:-1], index=args[-1], num_levels=num_levels,
            **sampled).log_prob), of_levels=True, smooth=False))
  return found


def _in_blocks(call: Callable[..., MonteCarlo]) -> Nats:
  """Some examples at a time, of which all blocks have one size."""

  def nats(key: Key, x: np.ndarray, cond: Cond | None) -> Scores:
    num, size = len(x), min(len(x), _BLOCK)
    parts = []
    for start in range(0, num, size):
      index = np.arange(start, start + size)
      rows = np.minimum(index, num - 1)  # the last again, to fill a block
      block = jax.tree.map(lambda a, i=rows: jnp.asarray(a)[i], (x, cond))
      parts.append(call(key, (*block, index)))
    return Scores(*(np.concatenate(column)[:num].astype(np.float64)
                    for column in zip(*parts)))

  return nats
