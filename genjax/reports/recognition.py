"""Whether the samples of a run are of the classes that were asked for.

A classifier of the training images, kept in the folder of the run beside what
it is worth on held-out images, tells it without the data.
"""

import math
import os
import time
from typing import Any, Callable

import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.data.scaled import to_model
from genjax.files import read_json
from genjax.files import write_json
from genjax.metrics.agreement import Agreement
from genjax.metrics.agreement import agreement
from genjax.reports import image_sets
from genjax.reports.draws import classes_of
from genjax.reports.judge import find_judge
from genjax.reports.judge import Judge
from genjax.reports.judge import open_judge
from genjax.reports.judge import width_for
from genjax.runs.data import scale_of
from genjax.runs.fit import share

_MOST_STEPS, _PART = 1000, 4  # of the classifier: a quarter of the run's steps
_TESTED = 5000  # held-out images, at most
_FEWEST = 20  # samples of which something is said


def keep_judge(
    settings: Any, data: named.Data, workdir: str, say: Callable[[str], None]
) -> None:
  """Trains a classifier of a run's classes, once, in <workdir>/classifier.

  It is small: the steps are a quarter of the run's and 1,000 at most, in
  batches of the same size. Beside it stands how many held-out images of each
  class it recognises. Nothing is done but for a folder of two or more classes
  that the model is told, of which some images are held out: by these the
  classifier is judged.

  Args:
    settings: of a diffusion run.
    data: of it.
    workdir: of it.
    say: is told in a line what is done, and how long it took.

  Raises:
    ValueError: <workdir>/classifier holds another run.
    Stopped: a signal came; the same call goes on.
  """
  if (not settings.data.startswith('folder:') or data.test is None
      or len(classes_of(settings)) < 2 or os.path.isfile(_path(workdir))):
    return
  steps = max(1, min(_MOST_STEPS, settings.steps // _PART))
  say(f'training a classifier for {steps} steps, by which sample tells whether '
      'the model heeds its classes')
  begun = time.perf_counter()
  judge = find_judge(None, data, {
      **image_sets.data_of(settings), 'width': width_for(settings.shape),
      'steps': steps, 'save_every': steps, 'batch_size': settings.batch_size,
      'micro_batches': settings.micro_batches}, workdir, lambda _: None)
  test = image_sets.read(data.test, _TESTED, settings.seed)
  right = judge.said(test.x) == test.label
  counts = [np.bincount(label, minlength=len(settings.class_names)).tolist()
            for label in (test.label[right], test.label)]
  write_json(_path(workdir), dict(zip(('right', 'held_out'), counts)))
  share(workdir, 'judge')
  say(f'it recognises {right.mean():.1%} of {right.size} held-out images, '
      f'after {time.perf_counter() - begun:.0f} s')


def recognised(
    settings: Any, workdir: str, image: np.ndarray, label: np.ndarray | None
) -> str | None:
  """Says in a line how often samples are of the classes asked for.

  Args:
    settings: of the run.
    workdir: of the run, in which `keep_judge` may have kept a classifier.
    image: uint8 [N, H, W, C], or of the type of the run's data: the samples.
    label: int [N], the classes asked for, if any.

  Returns:
    The line; None without classes or a classifier, and of fewer than 20
    samples.

  Raises:
    ValueError: what is kept is damaged, or of other classes.
  """
  kept = kept_judge(settings, workdir)
  if label is None or len(label) < _FEWEST or kept is None:
    return None
  scale = scale_of(settings)
  x = (pipeline.to_model_range(image) if scale is None
       else to_model(scale, image))
  return sentence(agree(*kept, x, label))


def kept_judge(settings: Any, workdir: str) -> tuple[Judge, np.ndarray] | None:
  """What `keep_judge` kept: a judge, and what it is worth.

  That is [2, K]: how many held-out images of each class it recognises, and of
  how many.

  Raises:
    ValueError: it is damaged, or of other classes.
  """
  if not os.path.isfile(_path(workdir)):
    return None
  judge = open_judge(_folder(workdir), sources.Description(
      settings.num_examples, settings.shape, settings.class_names))
  return judge, _counts(_path(workdir), len(settings.class_names))


def agree(
    judge: Judge, counts: np.ndarray, x: np.ndarray, label: np.ndarray
) -> Agreement:
  """How often samples are of the classes asked for.

  Args:
    judge, counts: of `kept_judge`.
    x: float32 [N, H, W, C] in [-1, 1].
    label: int [N].
  """
  return agreement(label, judge.said(x), *counts)


def sentence(found: Agreement) -> str:
  """What an agreement says, in a line."""
  value, low, high = found.recognised
  said = (f'a classifier recognises the classes asked for in {value:.1%} of '
          f'the samples (95 % interval {low:.1%} to {high:.1%})'
          + ('' if math.isnan(found.real.value)  # of these none is held out
             else f', and in {found.real.value:.1%} of real images'))
  if found.chance is None:
    return said
  said += f'; by chance it would be {found.chance:.1%}'
  if found.heeded:
    return said
  return said + (': no more than chance, so the model seems to ignore the '
                 'classes' if found.ignored
                 else ', which real images do not surely pass either: their '
                 'classes do not show, or too few are held out' if found.hidden
                 else ': too few samples, or too weak a classifier, to say '
                 'whether the model heeds them')


def _folder(workdir: str) -> str:
  return os.path.join(workdir, 'classifier')


def _path(workdir: str) -> str:
  return os.path.join(_folder(workdir), 'recognised.json')


def _counts(path: str, num: int) -> np.ndarray:
  """How many held-out images of each class are recognised, and are [2, K]."""
  kept = read_json(path)
  counts = [kept.get(name) if isinstance(kept, dict) else None
            for name in ('right', 'held_out')]
  check(all(isinstance(row, list) and len(row) == num and all(
      type(n) is int and n >= 0 for n in row) for row in counts),
        repr(path), f'must hold right and held_out, {num} counts each: remove '
        'it and train again', 'something else')
  return np.asarray(counts, np.float64)
