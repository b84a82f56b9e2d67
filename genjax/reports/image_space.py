"""What it means that two images are close: three distances, side by side."""

import dataclasses
import functools
import os
from typing import Mapping

import jax
import numpy as np

from genjax import image_distance
from genjax.checks import check
from genjax.data import changes
from genjax.data import named
from genjax.data import pipeline
from genjax.files import write_json
from genjax.metrics import closeness
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.reports import image_sets
from genjax.reports.image_sets import Images
from genjax.reports.judge import Judge
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting
from genjax.viz.image_space import Neighbours
from genjax.viz.image_space import Reaction
from genjax.viz.image_space import save_image_space

UNIT = 'in units of the mean distance between classes'

_QUERIES = 6  # in the figure


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a comparison of distances."""

  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  bits: int | None = fields.bits(None)
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  most: int = image_sets.most()
  classifier: str | None = image_sets.classifier()
  k: int = setting(5, low=1, high=10**6,
                   help='Number of neighbours that vote for a class.')
  seed: int = fields.seed()


def open_images(settings: Settings) -> tuple[named.Data, Images, Images]:
  """The data, and images of its training and of its test set.

  Raises:
    ValueError: see `image_sets.open_images`, or there are fewer images than
      neighbours.
  """
  data, train, test = image_sets.open_images(settings, settings.most)
  check(settings.k <= len(train.x), 'k',
        f'must be at most the {len(train.x)} training images', settings.k)
  return data, train, test


def compare(
    distance: image_distance.Distance, train: Images, test: Images,
    changed: Mapping[str, np.ndarray], k: int
) -> tuple[np.ndarray, dict[str, Estimate]]:
  """Positions of the k nearest training images [N, k], and the measures."""
  pairwise = jax.jit(
      functools.partial(image_distance.pairwise, distance.between))
  looks = distance.look(test.x)
  table = np.asarray(pairwise(looks, distance.look(train.x)))
  found = closeness.nearest(table, k)
  right = closeness.vote(train.label[found]) == test.label
  to_changed = {name: np.asarray(distance.between(looks, distance.look(x)))
                for name, x in changed.items()}
  same = test.label[:, None] == train.label
  return found, {f'{k}-NN accuracy': share(right),
                 **closeness.reactions(table, to_changed, same)}


def draw(
    path: str, train: Images, test: Images,
    changed: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray],
    results: Mapping[str, Mapping[str, Estimate]]
) -> None:
  """Writes the figure, of the queries with the most wrong neighbours."""
  wrong = {name: train.label[rows] != test.label[:, None]
           for name, rows in found.items()}
  total = sum(w.sum(1) for w in wrong.values())
  hard = np.argsort(-total, kind='stable')[:_QUERIES]
  groups = []
  for name, rows in found.items():
    accuracy, = (e for row, e in results[name].items() if 'accuracy' in row)
    groups.append(Neighbours(
        f'{name}: {rows.shape[1]}-NN accuracy {accuracy.value:.1%}',
        pipeline.to_uint8(train.x[rows[hard]]), wrong[name][hard]))
  clearest = np.argmax(np.std(test.x, axis=(1, 2, 3)))
  names = [row for row in next(iter(results.values()))
           if 'accuracy' not in row]
  bars = []
  for name, column in results.items():
    value, low, high = np.transpose([column[row] for row in names])
    bars.append(Reaction(name, value, np.stack([low, high])))
  save_image_space(
      path, pipeline.to_uint8(test.x[hard]), groups,
      {name: pipeline.to_uint8(x[clearest]) for name, x in
       {'as it is': test.x, **changed}.items()}, names,
      bars,
      f'distance, {UNIT}')


def report(
    settings: Settings, train: Images, test: Images, judge: Judge,
    workdir: str
) -> Table:
  """Writes report.json and the figure; a measure a row, a distance a column.

  Args:
    settings: of the comparison.
    train: images among which neighbours are found.
    test: images whose neighbours these are.
    judge: whose features are one of the distances.
    workdir: the folder.
  """
  changed = changes.change(test.x, keys.generator(settings.seed, 'figure'))
  found, results = {}, {}
  for name, distance in image_distance.distances(judge.features).items():
    found[name], results[name] = compare(distance, train, test, changed,
                                         settings.k)
  draw(os.path.join(workdir, 'figures', 'image_space.png'), train, test,
       changed, found, results)
  measures = next(iter(results.values()))
  table = make_table(
      ['measure', *(Column(name, digits='.3f') for name in results)],
      [(row, *(column[row] for column in results.values()))
       for row in measures])
  write_json(os.path.join(workdir, 'report.json'), {
      'extractor': judge.extractor, 'unit': UNIT, 'measures': records(table)})
  return table
