"""Fits a density to points, and keeps it as a run.

What a model leaves open (components, cells, bandwidth, when to stop training)
is chosen on these points alone, most of which are fitted to and the rest
judged by; they must come in random order.
"""

import dataclasses
import functools
from typing import Any, Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.distributions import fitting
from genjax.distributions import nonparametric
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import mixture
from genjax.distributions.multivariate import multivariate_normal
from genjax.runs import density
from genjax.runs import keys
from genjax.runs.fit import fit_run
from genjax.runs.fit import keep_run
from genjax.types import Array
from genjax.types import Params

_COMPONENTS = (1, 2, 4, 8, 16, 32)
_BINS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MARGIN = 0.1  # of the histogram's box, as a share of the points' range
_PSEUDO_COUNT = 0.1
_BANDWIDTHS = tuple(1.25**-i for i in range(16))

# Settings that were chosen, and the params.
Fitted = tuple[dict[str, Any], Params]


def fit_density(
    settings: density.Settings, points: np.ndarray, workdir: str
) -> bool:
  """Fits the model that the settings name; returns whether it got to its end.

  The same call again goes on where training was stopped.

  Args:
    settings: of the run; what the points decide is filled in here.
    points: float64 [N, D] in the unit of the data, in random order.
    workdir: the run's folder.

  Raises:
    ValueError: settings out of range, or a workdir that holds another run.
    RuntimeError: training diverged.
  """
  loc, scale = points.mean(0), points.std(0)
  z = jnp.asarray((points - loc) / scale, jnp.float32)
  settings = dataclasses.replace(
      settings, shape=points.shape[1:], num_examples=len(points),
      loc=tuple(loc.tolist()), scale=tuple(scale.tolist()))
  if settings.model in _FITS:
    found, params = _FITS[settings.model](settings, z)
    keep_run(density.TASK, dataclasses.replace(settings, **found), params,
             workdir, ArraySource({'x': np.asarray(z)}))
    return True
  if settings.model == 'energy':
    base = np.ravel(fitting.fit_multivariate_normal(z).scale_tril)
    if np.all(np.isfinite(base)):  # else points on a plane
      settings = dataclasses.replace(settings, base=tuple(base.tolist()))
  return fit_run(density.TASK, settings, named.Data(*(
      ArraySource({'x': np.asarray(part)}) for part in _split(z))), workdir)


def _gaussian(settings: density.Settings, x: Array) -> Fitted:
  del settings
  return {}, jax.jit(fitting.fit_multivariate_normal)(x)


def _mixture(settings: density.Settings, x: Array) -> Fitted:
  key = keys.key(settings.seed, 'init')

  def fit(num, x):
    return fitting.fit_gaussian_mixture(key, x, num).params

  num, params = _choose(mixture(multivariate_normal), fit,
                        [n for n in _COMPONENTS if 4 * n <= len(x)], x)
  return {'components': num}, params


def _histogram(settings: density.Settings, x: Array) -> Fitted:
  del settings
  low, high = jnp.min(x, 0), jnp.max(x, 0)
  margin = _MARGIN * (high - low)

  def fit(bins, x):
    return nonparametric.fit_histogram(
        x, low - margin, high + margin, (bins,) * x.shape[1],
        pseudo_count=_PSEUDO_COUNT)

  bins, params = _choose(
      nonparametric.histogram, fit,
      [n for n in _BINS if n**x.shape[1] <= density.MOST_CELLS], x)
  return {'bins': bins}, params


def _kernel_density(settings: density.Settings, x: Array) -> Fitted:
  del settings
  fit = functools.partial(nonparametric.fit_kernel_density,
                          factors=_BANDWIDTHS)
  return {}, jax.jit(fit)(x)


# Of the models that are not trained.
_FITS: Mapping[str, Callable[[density.Settings, Array], Fitted]] = {
    'gaussian': _gaussian,
    'mixture': _mixture,
    'histogram': _histogram,
    'kde': _kernel_density,
}


def _choose(
    dist: Distribution, fit: Callable[[int, Array], Params],
    candidates: Sequence[int], x: Array
) -> tuple[int, Params]:
  """The candidate whose fit to most of x [N, D] is best on the rest.

  Returns it with its fit to all of x.
  """
  most, rest = _split(x)
  # One program a candidate: a step at a time takes longer to compile.
  fitted = jax.jit(fit, static_argnums=0)
  score = jax.jit(lambda candidate, most, rest: jnp.mean(
      dist.log_prob(fit(candidate, most), rest)), static_argnums=0)
  scores = [score(candidate, most, rest) for candidate in candidates]
  # The largest of NaN would be the candidate that could not be fitted.
  best = candidates[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]
  return best, fitted(best, x)


def _split(x: Array) -> tuple[Array, Array]:
  """Points to fit to, and points to choose by."""
  most = 4 * len(x) // 5
  return x[:most], x[most:]
