"""Paths between two images by a run that encodes and decodes, measured.

Measured are lengths, in pixels and in features of a classifier, and along the
way the distance to the nearest training image and the run's log-density.
"""

import functools
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax import interpolation
from genjax import viz
from genjax.data import named
from genjax.files import write_json
from genjax.metrics import manifold
from genjax.reports import image_sets
from genjax.reports.draws import told
from genjax.reports.judge import Judge
from genjax.reports.pictures import pictures
from genjax.reports.table import make_table
from genjax.reports.table import Table
from genjax.runs.task import Run
from genjax.types import Array
from genjax.viz import paths as drawings
from genjax.viz.figures import plain

_MOST = 10_000  # training images among which the nearest is looked for
_REAL = 100  # held-out images that say what is usual of real ones
_STYLES = 4  # images, beside the two, whose styles are drawn
_COLUMNS = 9  # of the strip
# Steps that shorten a geodesic, of digits in a minute at most: of a denoiser,
# whose codes are decoded in many passes, and of other decoders.
_DENOISER_STEPS, _STEPS = 30, 300

# Paths between codes that do not depend on the decoder.
_LINES = {'latent': interpolation.lerp, 'slerp': interpolation.slerp}
PATHS = ('pixel', *_LINES, 'geodesic')

# What varies along a path, as it is drawn.
TITLES = {
    'nearest_pixels': 'distance to the nearest training image, pixels',
    'nearest_features': 'the same, features of the classifier',
    'log_density': 'log-density, nats: a lower bound'}


class Ends(NamedTuple):
  """The two images, and their classes where the run is told any."""

  x: np.ndarray  # float32 [2, H, W, C] in [-1, 1]
  label: np.ndarray | None  # int [2]


class Measures(NamedTuple):
  """What is measured of one path; None where there is nothing to do so."""

  pixel_length: float | None
  feature_length: float | None
  nearest_pixels: np.ndarray  # [T], distance to the nearest training image
  nearest_features: np.ndarray | None  # [T]
  log_density: np.ndarray | None  # [T], nats


def find_paths(
    run: Any, ends: Ends, names: Sequence[str], num_points: int,
    num_steps: int | None = None
) -> dict[str, np.ndarray]:
  """Images [T, H, W, C] along each path; decoded ends are reconstructions.

  Args:
    run: a `Run` that encodes and decodes images.
    ends: the images; with classes, the label is on its way too.
    names: of PATHS.
    num_points: T.
    num_steps: that shorten a geodesic.
  """
  steps = num_steps or (_DENOISER_STEPS if run.denoiser else _STEPS)
  t = jnp.linspace(0.0, 1.0, num_points)
  z, cond = run.encode(ends.x, told(ends.label)), None
  if ends.label is not None:
    first, second = jax.nn.one_hot(ends.label, len(run.settings.class_names))
    cond = told(interpolation.lerp(first, second, t))

  @functools.partial(jax.jit, static_argnums=0)
  def along(name: str, a: Array, b: Array) -> Array:
    decode = lambda codes: run.decode(codes, cond)
    return decode(_LINES[name](a, b, t) if name in _LINES else
                  interpolation.geodesic(decode, a, b, num_points=num_points,
                                         num_steps=steps))

  x = ends.x
  return {name: np.asarray(interpolation.lerp(x[0], x[1], t)
                           if name == 'pixel' else along(name, z[0], z[1]))
          for name in names}


def in_every_class(run: Any, x: np.ndarray, label: np.ndarray) -> np.ndarray:
  """Images of the codes of x [R, H, W, C] in every class: [R, K, H, W, C]."""
  num = len(run.settings.class_names)
  z = jnp.repeat(run.encode(x, told(label)), num, axis=0)
  found = run.decode(z, told(np.tile(np.arange(num), len(x))))
  return np.asarray(found).reshape(len(x), num, *x.shape[1:])


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

  def of(name: str, value: Any) -> Any:
    worst = np.min if name == 'log_density' else np.max
    return {'mean': float(value.mean()), 'worst': float(worst(value)),
            'along': value.tolist()} if np.ndim(value) else value

  return {name: of(name, value) for name, value in found._asdict().items()}


def as_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
  """A row a path, the mean (and the worst) of what varies."""

  def cell(value: Any) -> str:
    if isinstance(value, dict):
      return f'{value["mean"]:.3g} ({value["worst"]:.3g})'
    return '-' if value is None else f'{value:.3g}'

  names = [name.replace('_', ' ') for name in Measures._fields]
  return make_table(['path', *names], [
      (path, *map(cell, row.values())) for path, row in rows.items()])


def report(
    run: Run, data: named.Data, judge: Judge | None, ends: Ends, workdir: str,
    *, names: Sequence[str], num_points: int, num_steps: int | None, seed: int,
    about: Mapping[str, Any]
) -> tuple[Table, list[str]]:
  """Writes report.json, a figure and an animation, and a figure of styles.

  Args:
    run: one that encodes and decodes images.
    data: what it was trained on.
    judge: a classifier of the data, if they have classes.
    ends: the two images, with labels where the run is told classes.
    workdir: the folder.
    names, num_points, num_steps: see `find_paths`.
    seed: chooses the images that paths are compared with.
    about: what else report.json says.

  Returns:
    A table with a row for every path, and the paths of what was written.
  """
  found = find_paths(run, ends, names, num_points, num_steps)
  test = data.train if data.test is None else data.test
  train, real = (image_sets.read(source, most, seed) for source, most in (
      (data.train, _MOST), (test, _REAL)))
  measure = make_measure(train.x, judge and judge.features, run.log_prob)
  measured = {name: measure(x) for name, x in found.items()}
  if data.test is not None:  # of a training image the nearest is itself
    measured['real'] = measure(real.x)._replace(pixel_length=None,
                                                feature_length=None)
  rows = {name: as_json(m) for name, m in measured.items()}
  figures = os.path.join(workdir, 'figures')
  os.makedirs(figures, exist_ok=True)
  written = os.path.join(workdir, 'report.json')
  write_json(written, {
      'step': run.step, 'seed': seed, **about, 'num_points': num_points,
      'labels': None if ends.label is None else ends.label.tolist(),
      'pixels': 'in [-1, 1]', 'num_train': len(train.x),
      'extractor': judge and judge.extractor, 'density': run.density,
      'paths': {name: rows[name] for name in names}, 'real': rows.get('real')})
  drawn = draw_paths(figures, found, measured, TITLES if 'lower bound' in (
      run.density or '') else TITLES | {'log_density': 'log-density, nats'})
  if ends.label is not None:
    drawn.append(os.path.join(figures, 'styles.png'))
    x, label = (np.concatenate([a, b[:_STYLES]]) for a, b in zip(ends, real))
    classes = [plain(name) for name in run.settings.class_names]
    drawings.save_styles(
        drawn[-1], pictures(in_every_class(run, x, label), x.shape[1:]),
        pictures(x, x.shape[1:]), [classes[i] for i in label], classes)
  return as_table(rows), [*drawn, written]


def draw_paths(
    folder: str, found: Mapping[str, np.ndarray],
    measured: Mapping[str, Measures], titles: Mapping[str, str]
) -> list[str]:
  """Writes the strips over the curves, and the animation, there and back.

  Measured are the paths that were found, and perhaps 'real' images.
  """
  shown_as = {name: pictures(x, x.shape[1:]) for name, x in found.items()}
  num = len(next(iter(found.values())))
  shown = np.linspace(0, num - 1, min(num, _COLUMNS)).round().astype(int)
  curves = []
  for field, title in titles.items():
    values = {name: getattr(m, field) for name, m in measured.items()}
    if all(value is not None for value in values.values()):
      real = values.pop('real', None)
      curves.append(drawings.Curve(
          title, values, None if real is None else float(real.mean())))
  strip, movie = (os.path.join(folder, f'interpolation.{kind}')
                  for kind in ('png', 'gif'))
  drawings.save_paths(strip, {name: x[shown] for name, x in shown_as.items()},
                      shown / (num - 1), curves)
  frames = [drawings.path_frame(np.stack(images), list(shown_as))
            for images in zip(*shown_as.values())]
  viz.save_gif(movie, frames + frames[-2::-1])
  return [strip, movie]
