"""Samples of any generator, scored against a data set beside their floor."""

import dataclasses
import os
from typing import Mapping

import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import sample_files
from genjax.data import sources
from genjax.files import write_json
from genjax.metrics import comparison
from genjax.metrics.distances import squared_distances
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.reports import image_sets
from genjax.reports.draws import classes_of
from genjax.reports.draws import draw
from genjax.reports.draws import in_turn
from genjax.reports.draws import numbers_of
from genjax.reports.draws import opened
from genjax.reports.image_sets import Images
from genjax.reports.judge import Judge
from genjax.reports.judge import retrain
from genjax.reports.pictures import pictures
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.data import scale_of
from genjax.runs.settings import setting
from genjax.runs.task import Run
from genjax.runs.workdir import is_run
from genjax.types import Source
from genjax.viz.evaluation import save_evaluation
from genjax.viz.evaluation import Scored
from genjax.viz.figures import plain

_SHOWN = 12  # samples, with their nearest training images


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of an evaluation."""

  samples: str = setting('', lengths=(0, 4096), help='What is scored: an '
                         '.npz file (arr_0 uint8 [N, H, W, C], or of the type '
                         'of the data; labels in arr_1), a folder of pictures, '
                         'or the folder of a run, which then draws as many '
                         'samples as training images are compared.')
  weights: tuple[str, ...] = setting(
      ('ema',), lengths=(1, 32), distinct=True, help='Parameters that a run '
      'draws with: ema, their moving average; raw, those of the last step; '
      'ema:0.07, a moving average of that width, of a run trained with '
      '--ema_widths. Of several, such as raw,ema:0.05,ema:0.1, a table says '
      'which draw the nearest samples.')
  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  bits: int | None = fields.bits(None)
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  most: int = image_sets.most()
  classifier: str | None = image_sets.classifier()
  seed: int = fields.seed()


def name_of(data: str) -> str:
  """What metrics on features of `data` are called by."""
  kind, _, argument = data.partition(':')
  name = os.path.basename(os.path.normpath(argument)) if argument else kind
  # Distances in pixels have this name already.
  return f'{kind}_pixels' if name == 'pixels' else name


def open_drawer(settings: Settings) -> Run | None:
  """The run that draws the samples, by the first of the weights; None of files.

  Raises:
    ValueError: it has no such weights, or they are asked of files.
  """
  weights = settings.weights[0]
  if is_run(settings.samples):
    return opened('samples', settings.samples, weights)
  check(settings.weights == ('ema',), 'weights', 'must be absent where samples '
        'are not those of a run', ','.join(settings.weights))
  return None


def open_samples(
    settings: Settings, data: named.Data
) -> tuple[Source, int | None]:
  """The samples of files, or of a run, and the step of the run.

  A run draws as many as training images are compared, of its classes in turn,
  or under the classes and numbers of training images where it is told numbers.

  Raises:
    ValueError: they cannot be read, or they or the run are not of the size,
      type and classes of the data; the run is of a kind that does not sample.
  """
  path, described = settings.samples, data.description
  run = open_drawer(settings)
  if run is None:
    return sample_files.read_samples(path, described, data.scale), None
  classes, shape = classes_of(run.settings), run.settings.shape
  check(shape == described.shape and classes in ((), described.class_names),
        'samples', f'{path!r} must be a run on images of shape '
        f'{described.shape} and of the classes of the data, or of none',
        f'shape {shape} and {len(classes)} classes')
  types = ['uint8' if scale is None else scale.type
           for scale in (scale_of(run.settings), data.scale)]
  check(types[0] == types[1], 'samples', f'{path!r} must be a run on '
        f'{types[1]} like the data', types[0])
  num = min(settings.most, len(data.train))
  label, vector = in_turn(classes, num), None
  if numbers_of(run.settings):  # drawn with those of training images
    check(numbers_of(run.settings) == sources.vector_names(data.train),
          'samples', f'{path!r} must be a run that is told the numbers of the '
          'data', ', '.join(numbers_of(run.settings)))
    part = sources.subset(data.train, keys.generator(
        settings.seed, 'subset').permutation(len(data.train))[:num])
    vector = sources.vectors_of(part)
    label = sources.labels_of(part) if classes else None
  x = draw('samples', run, num, label, settings.seed, vector)
  return sample_files.as_source(x, label, classes, data.scale), run.step


def look(images: Images, judge: Judge | None) -> comparison.Judged:
  """What the metrics look at of images."""
  x = images.x
  return comparison.Judged(x.reshape(len(x), -1), images.label,
                judge and judge.features(x), judge and judge.said(x))


def accuracy_score(
    judge: Judge | None, samples: Source, data: named.Data, test: Images
) -> comparison.Score:
  """Test accuracy of the classifier's recipe and seed, trained on samples.

  CAS of Ravuri & Vinyals, arXiv:1905.10887: of the training images themselves
  it is the classifier's own accuracy. The interval is that of the test images
  alone; another seed of the training would differ too.
  """
  if judge is None:
    return comparison.NO_CLASSIFIER
  label = sources.labels_of(samples)
  if label is None:
    return comparison.NO_LABELS
  count = np.bincount(label, minlength=len(sources.class_names(samples)))
  if not count.all():
    return f'needs samples of every class, got none of {count.argmin()}'
  student = retrain(judge, named.Data(samples, data.test))
  return share(student.said(test.x) == test.label)


def report(
    settings: Settings, source: Source, step: int | None, data: named.Data,
    judge: Judge | None, workdir: str
) -> Table:
  """Writes report.json and a figure; returns a table, a metric a row.

  Args:
    settings: of the evaluation.
    source: the samples.
    step: of the run that drew them, if one did.
    data: what they are compared to.
    judge: a classifier of the data, if they have classes.
    workdir: the folder.
  """
  parts = [part for part in (source, *data) if part is not None]
  samples, train, test = (image_sets.read(part, settings.most, settings.seed)
                          for part in parts)
  looks = [look(images, judge) for images in (samples, train, test)]
  scores = comparison.compare(looks[0], looks[1], looks[2],
                              name_of(settings.data))
  scores['cas'] = (accuracy_score(judge, source, data, test),
                   comparison.recognition(looks[2]))
  table = make_table(['metric', 'samples',
                      Column('floor', 'real data, the floor')],
                     [(name, *pair) for name, pair in scores.items()])
  write_json(os.path.join(workdir, 'report.json'), {
      **{f'num_{name}': len(part) for name, part in zip(
          ('samples', 'train', 'test'), parts)}, 'step': step,
      'pixels': 'in [-1, 1]', 'range': data.scale and [
          data.scale.low, data.scale.high],
      'extractor': judge and judge.extractor, 'metrics': records(table)})
  save(os.path.join(workdir, 'figures', 'evaluation.png'), samples, train,
       scores)
  return table


def save(
    path: str, samples: Images, train: Images,
    scores: Mapping[str, tuple[comparison.Score, comparison.Score]]
) -> None:
  """Writes some samples over their nearest training images, and the scores."""
  num, shape = len(samples.x), samples.x.shape[1:]
  rows = np.linspace(0, num - 1, min(num, _SHOWN)).astype(int)
  shown = samples.x[rows]
  (_, squared), = squared_distances(
      shown.reshape(len(shown), -1), train.x.reshape(len(train.x), -1))
  save_evaluation(
      path, pictures(shown, shape),
      pictures(train.x[squared.argmin(1)], shape),
      [Scored(plain(name), *(s if isinstance(s, Estimate) else None
                             for s in pair))
       for name, pair in scores.items()])
