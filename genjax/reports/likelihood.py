"""How likely held-out data are under a run, by each road to its log-density.

Images are on levels, and have a mass; of a density that is made by noise of one
level's width. The two conventions are the mean of the log-density over such
noise, a lower bound (Theis et al., arXiv:1511.01844, sec. 3.1), and the log of
the mean density over K draws, a tighter one that rises with K to the log of the
mass (Ho et al., arXiv:1902.00275, eq. 11, with uniform noise). The noise of
estimates makes the latter too large where it differs from draw to draw: those
of a flow have the same probes. Floating-point images and signals are on no
levels: theirs is the density of values in [-1, 1].
"""

import math
import os
from typing import Any, Mapping

import jax.numpy as jnp
import numpy as np
from scipy import special
import tqdm

from genjax.checks import check
from genjax.data import levels as pixel_levels
from genjax.data import rows
from genjax.data.sources import ArraySource
from genjax.files import write_json
from genjax.metrics.bits import bits_per_dim
from genjax.metrics.estimate import of_mean
from genjax.reports import image_sets
from genjax.reports.altered import altered
from genjax.reports.draws import classes_of
from genjax.reports.draws import told
from genjax.reports.pictures import pictures
from genjax.reports.roads import Effort
from genjax.reports.roads import Road
from genjax.reports.roads import roads_of
from genjax.reports.roads import Scores
from genjax.reports.table import Cell
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.data import reopen_data
from genjax.runs.data import scale_of
from genjax.runs.task import Run
from genjax.types import Cond
from genjax.viz import figures
from genjax.viz import save_grid
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

_SHOWN = 10  # images of each set


def score(
    road: Road, x: np.ndarray, cond: Cond | None, num_levels: int | None, *,
    seed: int, num_draws: int
) -> dict[str, Scores]:
  """Log-densities of points, or log-masses of images, by convention.

  Args:
    road: how they are found.
    x: [N, ...].
    cond: of [N, ...], or None.
    num_levels: that x lies on; None where it lies on none.
    seed: of everything that is drawn.
    num_draws: K, of the noise between levels.
  """
  key = keys.key(seed, 'log_prob', 0)
  if road.of_levels or num_levels is None:
    return {'': road.nats(key, x, cond)}
  size = math.prod(x.shape[1:])
  found = [road.nats(key, np.asarray(pixel_levels.dequantise(
      keys.key(seed, 'log_prob', 1, draw), jnp.asarray(x), jnp.arange(len(x)),
      num_levels)), cond) for draw in range(num_draws)]
  nats, noise = (np.stack(part) for part in zip(*found))
  nats += size * math.log(pixel_levels.level_width(num_levels))
  # Probes are the same in all draws: their errors do not average out.
  scores = {'uniform': Scores(nats.mean(0), noise.mean(0))}
  if road.smooth and num_draws > 1:
    share = special.softmax(nats, axis=0)
    scores[f'importance_weighted_{num_draws}'] = Scores(
        special.logsumexp(nats, axis=0) - math.log(num_draws),
        np.sum(share * noise, axis=0))
  return scores


def table_of(scores: Mapping[tuple[str, str], Scores], size: int) -> Table:
  """A row a road and convention: nats, bits a dimension, error of the road."""
  lines: list[tuple[Cell, ...]] = []
  for (road, convention), found in scores.items():
    noise = math.sqrt(np.sum(found.noise**2)) / len(found.noise)
    lines.append((f'{road} {convention}'.strip(), of_mean(found.nats),
                 of_mean(bits_per_dim(found.nats, size)),
                 noise / (size * math.log(2))))
  return make_table(
      ['road', Column('nats', 'nats an example', '.2f'),
       Column('bits_per_dim', 'bits/dim', '.4f'),
       Column('noise', 'of which noise, +/-', '.4f')], lines)


def ranking(nats: Mapping[str, np.ndarray], size: int) -> Table:
  """A row a set of examples, the likeliest first, beside the real ones."""
  real = nats['real']
  order = sorted(nats, key=lambda name: -nats[name].mean())
  return make_table(
      ['examples', Column('nats', 'nats an example', '.2f'),
       Column('bits_per_dim', 'bits/dim', '.3f'),
       Column('below', 'share below its real one', '.2f')],
      [(name, of_mean(nats[name]), of_mean(bits_per_dim(nats[name], size)),
        None if name == 'real' else float(np.mean(nats[name] < real)))
       for name in order])


def held_out(
    run: Run, workdir: str, most: int, seed: int
) -> image_sets.Images:
  """Examples that the run in `workdir` was not trained on, chosen by the seed.

  Of its training data, where it has no others.

  Raises:
    ValueError: the data cannot be read, or are no longer what they were.
  """
  if run.task.kind == 'density':
    points = rows.open_points(run.settings.data, run.settings.seed).test
    source: Any = ArraySource({'x': points.astype(np.float32)})
  else:
    data = reopen_data(workdir, run)
    source = data.train if data.test is None else data.test
  return image_sets.read(source, most, seed)


def report(
    run: Run, held: image_sets.Images, workdir: str, *,
    effort: Effort, num_draws: int, num_levels: int | None = None, seed: int = 0
) -> tuple[Table, Table]:
  """Writes report.json and figures; returns tables of roads and of sets.

  Args:
    run: one that has a density, as opened.
    held: the examples, see `held_out`.
    workdir: where report.json and the figures are written.
    effort: what is computed of a diffusion run.
    num_draws: K, of the noise between levels.
    num_levels: of whole numbers; absent, those of the run or else of the data.
    seed: of everything that is drawn.

  Raises:
    ValueError: the run has no density, or there are fewer than two examples.
  """
  x, shape = held.x, held.x.shape[1:]
  check(len(x) >= 2, 'num_examples', 'must be 2 or more', len(x))
  num_levels = _levels(run, x, num_levels)
  if num_levels is not None:
    x = np.asarray(pixel_levels.on_levels(jnp.asarray(x), num_levels))
  cond = told(held.label) if classes_of(run.settings) else None
  size = math.prod(x.shape[1:])
  roads = roads_of(run, effort, num_levels)
  options = {'seed': seed, 'num_draws': num_draws}
  sets = altered(x, num_levels, keys.generator(seed, 'log_prob'))
  scores, nats = {}, {}
  with tqdm.tqdm(total=len(roads) + len(sets), disable=None) as bar:
    for road in roads:
      for convention, found in score(
          road, x, cond, num_levels, **options).items():
        scores[road.name, convention] = found
      bar.update()
    nats['real'] = next(iter(scores.values())).nats
    for name, other in sets.items():
      nats[name] = next(iter(score(roads[0], other, cond, num_levels, **{
          **options, 'num_draws': 1}).values())).nats
      bar.update()
  tables = table_of(scores, size), ranking(nats, size)
  os.makedirs(workdir, exist_ok=True)
  write_json(os.path.join(workdir, 'report.json'), {
      'step': run.step, 'num_examples': len(x),
      'given_class': cond is not None, 'levels': num_levels,
      'dequantisations': None if num_levels is None else num_draws,
      'ranked_by': roads[0].name, 'effort': effort._asdict(),
      'roads': records(tables[0]), 'sets': records(tables[1])})
  draw(os.path.join(workdir, 'likelihood.png'), tables[0], nats, size)
  if len(shape) > 1:
    save_grid(os.path.join(workdir, 'examples.png'), np.concatenate([
        pictures(each[:_SHOWN], shape)
        for each in ({'real': x} | sets).values()]), min(_SHOWN, len(x)))
  return tables


def _levels(run: Run, x: np.ndarray, given: int | None) -> int | None:
  """On how many levels examples [N, ...] lie; None where they lie on none."""
  scale = scale_of(run.settings)
  levels = getattr(run.settings, 'levels', None)
  floats = scale is not None and scale.num_levels is None
  if x.ndim > 2 and not floats:
    return given or levels or (
        pixel_levels.levels_of(x) if scale is None else scale.num_levels)
  check(given is None, 'num_levels', 'must be absent for points and for '
        'floating-point images and signals', given)
  return levels if floats else None


def draw(path: str, roads: Table, nats: Mapping[str, np.ndarray], size: int
         ) -> None:
  """Writes bits by each road, and how those of each set are spread."""
  shades, left, right = figures.shades(len(nats)), [], []
  found = {figures.plain(name.replace('_', ' ')): record['bits_per_dim']
           for name, record in records(roads).items()}
  for place, bits in enumerate(found.values()):
    ends = np.array([bits['low'], bits['high']])
    left += [Layer('line', ends, np.full(2, place)),
             Layer('marks', np.array([bits['value']]), np.array([place]))]
  for shade, (name, values) in zip(shades, nats.items()):
    share = np.arange(1, len(values) + 1) / len(values)
    right.append(Layer('line', np.sort(bits_per_dim(values, size)), share, name,
                       shade))
  save_panels(path, [[
      Panel('Examples not trained on, by each road', 'bits/dim', '', left,
            rows=tuple(found)),
      Panel('Others beside them', 'bits/dim', 'share with at most as many',
            right)]], height=3.2)
