"""Densities of one set of points side by side: scores, maps, draws."""

import dataclasses
import math
import os
from typing import Any, Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from genjax import densities as density_models
from genjax.data import toy
from genjax.data.rows import Points
from genjax.distributions.base import mean_of
from genjax.distributions.nonparametric import kernel_density
from genjax.distributions.nonparametric import KernelDensityParams
from genjax.reports.table import Cell
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import density
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting
from genjax.runs.task import Run
from genjax.viz import densities
from genjax.viz.figures import plain

_SAMPLES = 2000

# x float64 [M, D] in the unit of the data -> nats [M].
LogDensity = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a comparison."""

  data: str = setting('moons', lengths=(1, 4096),
                      help='Points to which every density is fitted.')
  seed: int = fields.seed()


def true_density(name: str) -> LogDensity | None:
  """The density of a toy set; None of other data.

  See `toy.law`. Of a law around a curve its log is off by less than .002 nats
  in the mean.
  """
  if name not in toy.SETS:
    return None
  law = toy.law(name)
  if isinstance(law, toy.Uniform):
    return lambda x: np.where(law.inside(x), -math.log(law.area), -np.inf)
  params = KernelDensityParams(jnp.asarray(law.centres, jnp.float32),
                               jnp.float32(law.scale))
  log_prob = jax.jit(kernel_density.log_prob)
  return lambda x: np.asarray(log_prob(params, jnp.asarray(x, jnp.float32)))


def log_density(run: Any) -> LogDensity:
  """That of a run of a density, which has one."""
  return lambda x: np.asarray(run.log_prob(x))


def note(run: Run) -> str:
  """What was chosen or found in fitting a run of a density."""
  settings = run.settings
  if settings.model == 'energy':
    shape = density.model_shape(settings)
    log_z, error = jax.jit(
        lambda variables: density_models.log_partition(shape, variables))(
            run.params)
    return f'log Z = {log_z:.4f} +/- {error:.1g}'
  if settings.model == 'kde':
    widths = ', '.join(f'{width:.3f}' for width in np.asarray(run.params.scale))
    return f'kernel of {widths} standard deviations'
  return {'gaussian': 'full covariance',
          'mixture': f'{settings.components} components',
          'histogram': f'{settings.bins} cells an axis',
          'flow': 'spline couplings'}[settings.model]


def score(
    model: str, log_density: LogDensity, test: np.ndarray, note: str
) -> tuple[Cell, ...]:
  """A row of the table: a log-density at test points [M, D]."""
  nats, error = map(float, mean_of(jnp.asarray(-log_density(test))))
  return model, nats, error, nats / (test.shape[1] * math.log(2)), note


def compare(
    truth: LogDensity | None, runs: Mapping[str, Any], test: np.ndarray
) -> Table:
  """Mean of -log p over test points [M, D], a row a model.

  Args:
    truth: the density of the points where it is known.
    runs: name -> `Run` of a density.
    test: points that none of them has seen.
  """
  rows = [] if truth is None else [score('truth', truth, test, '')]
  rows += [score(name, log_density(run), test, note(run))
           for name, run in runs.items()]
  return make_table(
      [Column('model'), Column('nats', digits='.4f'),
       Column('standard_error', '+/-', '.4f'),
       Column('bits_per_dim', 'bits/dim', '.4f'), Column('note')], rows)


def draw(
    folder: str, truth: LogDensity | None, runs: Mapping[str, Any],
    points: Points, table: Table
) -> str:
  """Writes the densities over the test points; returns the path.

  To densities.png, or for more than two dimensions draws to samples.png.
  """
  dim = points.test.shape[1]
  names = [plain(name) for name in points.names] or [
      f'$x_{{{i}}}$' for i in range(1, dim + 1)]
  titles = {model: f'{model}: {row["nats"]:.3f} nats'
            for model, row in records(table).items()}
  if dim > 2:
    path = os.path.join(folder, 'samples.png')
    panels = [('test data', np.empty((0, dim)))]
    for name, run in runs.items():
      key = keys.key(run.settings.seed, 'figure',
                     list(density_models.MODELS).index(run.settings.model))
      panels.append((titles[name], np.asarray(run.sample(key, (_SAMPLES,)))))
    densities.save_samples(path, points.test, panels, names)
    return path
  path = os.path.join(folder, 'densities.png')
  drawn = {} if truth is None else {'truth': truth}
  drawn |= {name: log_density(run) for name, run in runs.items()}
  densities.save_densities(
      path, points.test, [densities.DensityPanel('test data', None), *(
          densities.DensityPanel(titles[name], function)
          for name, function in drawn.items())], names)
  return path
