"""Scores samples, of any generator, against a data set.

  python -m experiments.evaluate --samples=samples.npz --data=digits \
      --workdir=runs/evaluation

Samples are an .npz (`arr_0` uint8 [N, H, W, C], labels in `arr_1`) or a folder
of pictures. Distances of distributions and shares by neighbours are to the
test set, in features of a classifier trained on the training set (by
--classifier, or here) and in pixels in [-1, 1]. Beside every number stands its
floor: what real training images score in place of the samples. Distances are
unbiased for independent draws; training and test images that were split by
class, as the digits were, are more alike than these, and theirs lie below 0.
Writes evaluation.json and a figure.
"""

import functools
import os
from typing import Any, Callable, Mapping, NamedTuple

from absl import flags
import numpy as np

from experiments import app
from experiments import common
from experiments import image_data
from experiments.judge import Judge
from experiments.judge import open_judge
from experiments.judge import retrain
from genjax.data import pipeline
from genjax.data import sample_files
from genjax.data.sources import ArraySource
from genjax.metrics import kernel
from genjax.metrics import manifold
from genjax.metrics.distances import squared_distances
from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.metrics.estimate import share_by_halves
from genjax.metrics.frechet import frechet_distance_infinity
from genjax.viz.evaluation import save_evaluation
from genjax.viz.evaluation import Scored
from genjax.viz.figures import plain

# Why there is no number.
Reason = str
Score = Estimate | Reason

_NO_CLASSIFIER = 'needs a classifier, and so data with classes'
_NO_LABELS = 'needs samples with labels'

_NEIGHBOURS = 5
_SHOWN = 12  # samples, with their nearest training images


class Judged(NamedTuple):
  """What the metrics look at of N images."""

  pixels: np.ndarray  # [N, D], in [-1, 1]
  label: np.ndarray  # int [N], or [0] without classes
  features: np.ndarray | None  # [N, F], of a classifier
  said: np.ndarray | None  # int [N], the class it says


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where evaluation.json and the figure go')
  image_data.define_flags()
  flags.DEFINE_string('samples', None, 'an .npz file or a folder of pictures')
  flags.mark_flag_as_required('samples')


def measure(
    statistic: Callable[..., float], least: int, *sets: np.ndarray
) -> Score:
  """A statistic of sets of rows with its interval, or why there is none."""
  return _too_few(least, *sets) or by_halves(
      lambda *rows: statistic(*(x[i] for x, i in zip(sets, rows))),
      *(len(x) for x in sets))


def _too_few(least: int, *sets: np.ndarray) -> Reason:
  """Why a metric of `least` rows a set gives no number; '' where it does."""
  few = min(len(x) for x in sets)
  return '' if few >= least else f'needs {least} images a set, got {few}'


def frechet(a: np.ndarray, b: np.ndarray) -> Score:
  """Squared Frechet distance at infinite sample size."""
  # A row for each of its groups; of fewer the line to infinity bends.
  least = max(20, 2 * (a.shape[1] + 1))
  return _too_few(least, a, b) or frechet_distance_infinity(a, b)


def neighbours(a: np.ndarray, b: np.ndarray, num: int) -> dict[str, Score]:
  """Precision, recall, density and coverage of `num` rows a set.

  All four depend on the sizes of the sets, so that their floor must have them.
  """
  sets = [x[np.sort(np.random.default_rng(0).permutation(len(x))[:num])]
          for x in (a, b)]
  reason = _too_few(2 * (_NEIGHBOURS + 1), *sets)  # enough for a half, too
  # One pass gives all four, and each asks for the same halves.
  seen: dict[bytes, manifold.Neighbours] = {}

  def one(name, *rows):
    key = b''.join(r.tobytes() for r in rows)
    if key not in seen:
      seen[key] = manifold.precision_recall(
          *(x[r] for x, r in zip(sets, rows)), k=_NEIGHBOURS)
    return getattr(seen[key], name)

  intervals = {'density': by_halves}  # which can pass 1, as no share can
  return {name: reason or intervals.get(name, share_by_halves)(
      functools.partial(one, name), num, num)
          for name in manifold.Neighbours._fields}


def compare(a: Judged, b: Judged, num: int, name: str) -> dict[str, Score]:
  """Distances between two sets, and shares by `num` images of each."""
  in_pixels = {'fd_pixels': frechet(a.pixels, b.pixels)}
  if a.features is None or b.features is None:
    return {**dict.fromkeys((f'fd_{name}', f'kid_{name}'), _NO_CLASSIFIER),
            **in_pixels,
            **dict.fromkeys(manifold.Neighbours._fields, _NO_CLASSIFIER)}
  return {f'fd_{name}': frechet(a.features, b.features),
          f'kid_{name}': measure(kernel.kernel_distance, 4, a.features,
                                 b.features),
          **in_pixels, **neighbours(a.features, b.features, num)}


def copying(samples: Judged, train: Judged, test: Judged) -> Score:
  """Mean distance of samples to their nearest training image, over test's."""
  return measure(
      lambda a, b: float(a.mean() / b.mean()), 4,
      *(manifold.nearest_distances(x.pixels, train.pixels)
        for x in (samples, test)))


def recognition(images: Judged) -> Score:
  """Share of images that the classifier gives their class."""
  if images.said is None:
    return _NO_CLASSIFIER
  return share(images.said == images.label) if len(
      images.label) else _NO_LABELS


def evaluate(
    samples: Judged, train: Judged, test: Judged, name: str
) -> dict[str, tuple[Score, Score]]:
  """Every metric but CAS: of the samples, and its floor.

  Args:
    samples, train, test: what is looked at.
    name: of the data, for the names of the metrics.
  """
  num = min(len(x.pixels) for x in (samples, train, test))
  found, floor = (compare(x, test, num, name) for x in (samples, train))
  # Of test it is 1 by definition: its interval is the noise of a fresh set.
  for scores, x in ((found, samples), (floor, test)):
    scores['nn_ratio_pixels'] = copying(x, train, test)
  found['recognised'], floor['recognised'] = map(recognition, (samples, test))
  return {name: (found[name], floor[name]) for name in found}


def table_of(scores: Mapping[str, tuple[Score, Score]]) -> str:
  """Lines of text: a metric a row, what the samples score and the floor."""

  def cell(score):
    if isinstance(score, Reason):
      return score
    return f'{score.value:.3g} ({score.low:.3g}, {score.high:.3g})'

  rows = [('', 'samples', 'real data, the floor')]
  rows += [(name, *map(cell, pair)) for name, pair in scores.items()]
  first, second = (max(len(row[i]) for row in rows) + 2 for i in (0, 1))
  return '\n'.join(f'{a:{first}}{b:{second}}{c}' for a, b, c in rows)


def as_json(score: Score) -> dict[str, Any]:
  """{'value', 'low', 'high'}, or {'reason'}."""
  return ({'reason': score} if isinstance(score, Reason)
          else score._asdict())


def name_of(data: str) -> str:
  """What metrics on features of `--data` are called by."""
  kind, _, argument = data.partition(':')
  name = os.path.basename(os.path.normpath(argument)) if argument else kind
  # Distances in pixels have this name already.
  return f'{kind}_pixels' if name == 'pixels' else name


def look(images: image_data.Images, judge: Judge | None) -> Judged:
  """What the metrics look at of images."""
  x = images.x
  return Judged(x.reshape(len(x), -1), images.label,
                judge and judge.features(x), judge and judge.said(x))


def accuracy_score(
    judge: Judge | None, samples: ArraySource, data: image_data.Split,
    test: image_data.Images
) -> Score:
  """Test accuracy of the classifier's recipe and seed, trained on samples.

  CAS of Ravuri & Vinyals, arXiv:1905.10887: of the training images themselves
  it is the classifier's own accuracy. The interval is that of the test images
  alone; another seed of the training would differ too.
  """
  if judge is None:
    return _NO_CLASSIFIER
  if not samples.class_names:
    return _NO_LABELS
  count = np.bincount(samples.arrays['label'],
                      minlength=len(samples.class_names))
  if not count.all():
    return f'needs samples of every class, got none of {count.argmin()}'
  student = retrain(judge, image_data.Split(samples, data.test))
  return share(student.said(test.x) == test.label)


def draw(
    path: str, samples: image_data.Images, train: image_data.Images,
    scores: Mapping[str, tuple[Score, Score]]
) -> None:
  """Writes some samples over their nearest training images, and the scores."""
  num = len(samples.x)
  rows = np.linspace(0, num - 1, min(num, _SHOWN)).astype(int)
  shown = samples.x[rows]
  (_, squared), = squared_distances(
      shown.reshape(len(shown), -1), train.x.reshape(len(train.x), -1))
  save_evaluation(
      path, pipeline.to_uint8(shown),
      pipeline.to_uint8(train.x[squared.argmin(1)]),
      [Scored(plain(name),
              *(None if isinstance(s, Reason) else s for s in pair))
       for name, pair in scores.items()])


def main() -> None:
  values = flags.FLAGS
  data = image_data.open_split()
  source = sample_files.read_samples(values.samples, data.description)
  judge = open_judge(data) if data.description.class_names else None
  common.open_workdir(values.workdir, {
      name: values[name].value for name in (
          'samples', 'data', 'image_size', 'held_out', 'most', 'classifier',
          'seed')})
  samples, train, test = (image_data.read(part, values.most, values.seed)
                          for part in (source, *data))
  looks = [look(images, judge) for images in (samples, train, test)]
  scores = evaluate(looks[0], looks[1], looks[2], name_of(values.data))
  scores['cas'] = (accuracy_score(judge, source, data, test),
                   recognition(looks[2]))

  extractor = judge.extractor if judge else None
  common.write_json(os.path.join(values.workdir, 'evaluation.json'), {
      'samples': values.samples, 'num_samples': len(source),
      'data': values.data, 'num_train': len(data.train),
      'num_test': len(data.test), 'most': values.most,
      'pixels': 'in [-1, 1]', 'extractor': extractor,
      'metrics': {name: {'samples': as_json(found), 'floor': as_json(floor)}
                  for name, (found, floor) in scores.items()}})
  path = os.path.join(values.workdir, 'figures', 'evaluation.png')
  draw(path, samples, train, scores)
  print(f'{table_of(scores)}\n\nfeatures by extractor {extractor}; wrote '
        f'{path} and evaluation.json')


if __name__ == '__main__':
  define_flags()
  app.run(main)
