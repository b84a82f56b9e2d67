"""What it means that two images are close: three distances, side by side.

  python -m experiments.image_space --workdir=runs/image_space

Euclidean distance of pixels, 1 - SSIM, and Euclidean distance of a trained
classifier's features. Under each: the nearest training images of test images,
the accuracy of k-NN, and how far a one-pixel shift, a rotation, noise and
brightness lead, as shares of the mean distance between classes. One figure and
one table, in metrics.json too. --data=folder:<path> --held_out=0.2 takes own
images, a sub-folder a class.
"""

import functools
import os
from typing import Callable, Mapping, NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from experiments import app
from experiments import common
from experiments import image_data
from experiments.judge import open_judge
from genjax import image_distance
from genjax.checks import check
from genjax.data import pipeline
from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.types import Array
from genjax.viz.image_space import Neighbours
from genjax.viz.image_space import Reaction
from genjax.viz.image_space import save_image_space

UNIT = 'in units of the mean distance between classes'

_QUERIES = 6  # in the figure


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where metrics.json and the figure go')
  image_data.define_flags()
  flags.DEFINE_integer('k', 5, 'neighbours that vote', lower_bound=1)


class Distance(NamedTuple):
  """A distance between images, by what it looks at of each."""

  look: Callable[[np.ndarray], Array]  # x [N, H, W, C] -> [N, ...]
  between: Callable[[Array, Array], Array]  # of looks, one each -> [*batch]


def distances(
    features: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Distance]:
  """The three, of images in [-1, 1], by name."""
  return {
      'pixel L2': Distance(jnp.asarray, image_distance.pixel_distance),
      '1 - SSIM': Distance(  # black must be at 0
          lambda x: (jnp.asarray(x) + 1) / 2,
          lambda a, b: 1 - image_distance.structural_similarity(
              a, b, data_range=1.0)),
      'features': Distance(  # as the channels of an image of one pixel
          lambda x: jnp.asarray(features(x))[:, None, None],
          image_distance.pixel_distance),
  }


def _shift(x, rng):
  del rng
  return np.pad(x[:, :, :-1], [(0, 0), (0, 0), (1, 0), (0, 0)], 'edge')


def _rotate(x, rng):
  del rng
  return scipy.ndimage.rotate(x, 15, axes=(2, 1), reshape=False, order=1,
                              mode='nearest')


# (x [N, H, W, C] in [-1, 1], a numpy generator) -> x, clipped to the range,
# which is 2.
CHANGES: Mapping[str, Callable[..., np.ndarray]] = {
    'shift, 1 pixel': _shift,
    'rotation, 15°': _rotate,
    'noise, 10 %': lambda x, rng: x + rng.normal(0, 0.2, x.shape),
    'brightness, +10 %': lambda x, rng: x + 0.2,
}


def change(x: np.ndarray, seed: int) -> dict[str, np.ndarray]:
  """Images [N, H, W, C] after each of CHANGES, by name."""
  return {name: np.clip(do(x, np.random.default_rng(seed)), -1, 1).astype(
      np.float32) for name, do in CHANGES.items()}


def nearest(table: np.ndarray, k: int) -> np.ndarray:
  """Columns of the k least of each row of [N, M], the least first: [N, k]."""
  return np.argsort(table, axis=1, kind='stable')[:, :k]


def vote(labels: np.ndarray) -> np.ndarray:
  """The commonest label of each row of [N, k], the least of equals: [N]."""
  counts = np.stack([np.sum(labels == c, axis=1)
                     for c in range(labels.max() + 1)], axis=1)
  return counts.argmax(1)


def reactions(
    table: np.ndarray, changed: Mapping[str, np.ndarray], same: np.ndarray
) -> dict[str, Estimate]:
  """Mean distances of test images, over the mean to images of other classes.

  Args:
    table: distances [N, M] of test images to training images.
    changed: name of a change -> distances [N] of test images to themselves
      after it.
    same: whether the two are of one class, [N, M].
  """
  # Sums by row: halves of the test images are then halves of these.
  others, count = np.sum(table * ~same, 1), np.sum(~same, 1)
  rows = {name: (d, np.ones(len(d))) for name, d in changed.items()}
  rows['nearest training image'] = (table.min(1), np.ones(len(table)))
  rows['same class, mean'] = (np.sum(table * same, 1), np.sum(same, 1))

  def ratio(total, number):
    return by_halves(lambda i: float(
        total[i].sum() / number[i].sum() * count[i].sum() / others[i].sum()),
                     len(table))

  return {name: ratio(*sums) for name, sums in rows.items()}


def table_of(results: Mapping[str, Mapping[str, Estimate]]) -> str:
  """Lines of text: a row a measure, a column a distance."""
  lines = [f'{"":26}' + ''.join(f'{name:>24}' for name in results)]
  for row in next(iter(results.values())):
    cells = [f'{e.value:.3f} ({e.low:.3f}, {e.high:.3f})'
             for e in (column[row] for column in results.values())]
    lines.append(f'{row:26}' + ''.join(f'{cell:>24}' for cell in cells))
  return '\n'.join(lines)


def compare(
    distance: Distance, train: image_data.Images, test: image_data.Images,
    changed: Mapping[str, np.ndarray], k: int
) -> tuple[np.ndarray, dict[str, Estimate]]:
  """Positions of the k nearest training images [N, k], and the measures."""
  pairwise = jax.jit(
      functools.partial(image_distance.pairwise, distance.between))
  looks = distance.look(test.x)
  table = np.asarray(pairwise(looks, distance.look(train.x)))
  found = nearest(table, k)
  right = vote(train.label[found]) == test.label
  to_changed = {name: np.asarray(distance.between(looks, distance.look(x)))
                for name, x in changed.items()}
  same = test.label[:, None] == train.label
  return found, {f'{k}-NN accuracy': share(right),
                 **reactions(table, to_changed, same)}


def draw(
    path: str, train: image_data.Images, test: image_data.Images,
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


def main() -> None:
  values = flags.FLAGS
  data = image_data.open_split()
  check(bool(data.description.class_names), 'data', 'must have classes',
        f'none in {values.data!r}')
  train, test = (image_data.read(source, values.most, values.seed)
                 for source in data)
  check(values.k <= len(train.x), 'k',
        f'must be at most the {len(train.x)} training images', values.k)
  judge = open_judge(data)
  common.open_workdir(values.workdir, {
      name: values[name].value for name in (
          'data', 'image_size', 'held_out', 'most', 'classifier', 'k',
          'seed')})
  changed = change(test.x, values.seed)
  found, results = {}, {}
  for name, distance in distances(judge.features).items():
    found[name], results[name] = compare(distance, train, test, changed,
                                         values.k)

  path = os.path.join(values.workdir, 'figures', 'image_space.png')
  draw(path, train, test, changed, found, results)
  common.write_json(os.path.join(values.workdir, 'metrics.json'), {
      'extractor': judge.extractor, 'unit': UNIT,
      'distances': {name: {row: e._asdict() for row, e in column.items()}
                    for name, column in results.items()}})
  print(f'{table_of(results)}\n\ndistances {UNIT}; features by extractor '
        f'{judge.extractor}; wrote {path} and metrics.json')


if __name__ == '__main__':
  define_flags()
  app.run(main)
