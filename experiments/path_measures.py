"""What is measured of paths between images: lengths, and what lies near them.
"""

import os
from typing import Any, Callable, Mapping, NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax import interpolation
from genjax import viz
from genjax.data import pipeline
from genjax.metrics import manifold
from genjax.viz import paths as drawings

_COLUMNS = 9  # of the strip

# What varies along a path, as it is drawn.
TITLES = {
    'nearest_pixels': 'distance to the nearest training image, pixels',
    'nearest_features': 'the same, features of the classifier',
    'log_density': 'log-density, nats: a lower bound'}


class Measures(NamedTuple):
  """What is measured of one path; None where there is nothing to do so."""

  pixel_length: float
  feature_length: float | None
  nearest_pixels: np.ndarray  # [T], distance to the nearest training image
  nearest_features: np.ndarray | None  # [T]
  log_density: np.ndarray | None  # [T], nats


def make_measure(
    train: np.ndarray, features: Callable | None, log_prob: Callable | None
) -> Callable[[np.ndarray], Measures]:
  """x [T, H, W, C] -> what is measured of it, beside train [N, H, W, C]."""
  length = lambda points: float(interpolation.length(jnp.asarray(points)))
  seen: Any = features and features(train)

  def measure(x: np.ndarray) -> Measures:
    found = Measures(length(x), None, manifold.nearest_distances(x, train),
                     None, log_prob and np.asarray(log_prob(x)))
    if features is None:
      return found
    look = features(x)
    return found._replace(
        feature_length=length(look),
        nearest_features=manifold.nearest_distances(look, seen))

  return measure


def as_json(found: Measures) -> dict[str, Any]:
  """Lengths; of what varies along the path its mean, its worst, and all."""

  def along(values, worst):
    return None if values is None else {
        'mean': float(values.mean()), 'worst': float(worst(values)),
        'along': values.tolist()}

  return {'pixel_length': found.pixel_length,
          'feature_length': found.feature_length,
          'nearest_pixels': along(found.nearest_pixels, np.max),
          'nearest_features': along(found.nearest_features, np.max),
          'log_density': along(found.log_density, np.min)}


def table_of(rows: Mapping[str, Mapping[str, Any]]) -> str:
  """Lines of text: a row a path, the mean and the worst of what varies."""

  def cell(value):
    if value is None:
      return '-'
    if isinstance(value, dict):
      return f'{value["mean"]:.3g} ({value["worst"]:.3g})'
    return f'{value:.3g}'

  names = list(next(iter(rows.values())))
  lines = [('', *(name.replace('_', ' ') for name in names))]
  lines += [(path, *(cell(row[name]) for name in names))
            for path, row in rows.items()]
  widths = [max(map(len, column)) + 2 for column in zip(*lines)]
  return '\n'.join(''.join(f'{text:>{width}}' for text, width in zip(
      line, widths)) for line in lines)


def draw_paths(
    folder: str, found: Mapping[str, np.ndarray],
    measured: Mapping[str, Measures], real: Measures | None
) -> list[str]:
  """Writes the strips over the curves, and the animation, there and back."""
  pictures = {name: pipeline.to_uint8(x) for name, x in found.items()}
  num = len(next(iter(found.values())))
  shown = np.linspace(0, num - 1, min(num, _COLUMNS)).round().astype(int)
  curves = [
      drawings.Curve(title, {name: getattr(m, field)
                             for name, m in measured.items()},
                     real and float(getattr(real, field).mean()))
      for field, title in TITLES.items()
      if all(getattr(m, field) is not None for m in measured.values())]
  strip = os.path.join(folder, 'interpolation.png')
  drawings.save_paths(strip, {name: x[shown] for name, x in pictures.items()},
                      shown / (num - 1), curves)
  movie = os.path.join(folder, 'interpolation.gif')
  frames = [drawings.path_frame(np.stack(images), list(pictures))
            for images in zip(*pictures.values())]
  viz.save_gif(movie, frames + frames[-2::-1])
  return [strip, movie]
