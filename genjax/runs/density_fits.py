"""Fits a density to points, and keeps it as a run."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from genjax import densities
from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.runs import density
from genjax.runs import keys
from genjax.runs.fit import fit_run
from genjax.runs.fit import keep_run


def fit_density(
    settings: density.Settings, points: np.ndarray, workdir: str
) -> None:
  """Fits the model that the settings name.

  The same call again goes on where training was stopped.

  Args:
    settings: of the run; what the points decide is filled in here.
    points: float64 [N, D] in the unit of the data, in random order.
    workdir: the run's folder.

  Raises:
    ValueError: settings out of range, or a workdir that holds another run.
    RuntimeError: training diverged.
    Stopped: a signal came; all is saved.
  """
  loc, scale = points.mean(0), points.std(0)
  z = jnp.asarray((points - loc) / scale, jnp.float32)
  settings = dataclasses.replace(
      settings, shape=points.shape[1:], num_examples=len(points),
      loc=tuple(loc.tolist()), scale=tuple(scale.tolist()))
  if settings.model in densities.FITS:
    found, params = densities.FITS[settings.model](
        keys.key(settings.seed, 'init'), z)
    keep_run(density.TASK, dataclasses.replace(settings, **found), params,
             workdir, ArraySource({'x': np.asarray(z)}))
    return
  if settings.model == 'energy':
    settings = dataclasses.replace(settings, base=densities.base_of(z))
  fit_run(density.TASK, settings, named.Data(*(
      ArraySource({'x': np.asarray(part)}) for part in densities.split(z))),
          workdir)
