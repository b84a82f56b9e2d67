"""A trained classifier as the judge of images."""

import dataclasses
import functools
import os
import tempfile
from typing import Any, Callable, Mapping, NamedTuple

import jax
import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import sources
from genjax.discriminative import extractor_hash
from genjax.discriminative import in_blocks
from genjax.metrics.classification import likeliest
from genjax.reports.draws import opened
from genjax.runs import keys
from genjax.runs import workdir as workdirs
from genjax.runs.classifier import build
from genjax.runs.classifier import Settings
from genjax.runs.classifier import TASK
from genjax.runs.classifier_data import settings_for
from genjax.runs.fit import fit_run
from genjax.runs.fit import Stopped
from genjax.runs.open import open_run
from genjax.runs.task import Run
from genjax.types import Shape


class Judge(NamedTuple):
  """What a classifier makes of images x [N, H, W, C] in [-1, 1]."""

  features: Callable[[np.ndarray], np.ndarray]  # -> [N, F]
  # -> int [N], the likeliest class, -1 where it says none
  said: Callable[[np.ndarray], np.ndarray]
  settings: Settings  # of its training
  extractor: str  # name by hash of what makes the features


def judge_of(run: Run) -> Judge:
  """The run of a classifier of images as a judge."""
  network = run.task.build(run.settings).parts
  features, logits = (
      functools.partial(in_blocks, functools.partial(jax.jit(f), run.params))
      for f in (network.features, network.logits))
  return Judge(features, lambda x: likeliest(logits(x)), run.settings,
               extractor_hash(run.params))


def open_judge(workdir: str, described: sources.Description) -> Judge:
  """The classifier in a workdir, as a judge of data that are described.

  Raises:
    ValueError: there is none, or it is of other images or classes.
  """
  must = ('must be the workdir of train_classifier for '
          f'{len(described.class_names)} classes of images of shape '
          f'{described.shape}')
  check(workdirs.is_run(workdir), 'classifier', must, repr(workdir))
  run = opened('classifier', workdir)
  kind, of = run.task.kind, run.settings
  check(kind == 'classifier', 'classifier', must, f'{workdir!r}, a {kind}')
  check((of.task, of.shape, of.class_names) == (
      'classification', described.shape, described.class_names), 'classifier',
        must, f'{workdir!r}, for {len(of.class_names)} classes of shape '
        f'{of.shape}')
  return judge_of(run)


def find_judge(
    classifier: str | None, data: named.Data, chosen: Mapping[str, Any],
    workdir: str, say: Callable[[str], None]
) -> Judge:
  """The classifier in a workdir, or one trained on data and kept.

  Args:
    classifier: its workdir; where None, <workdir>/classifier is taken, and
      trained by the recipe for data if it is not there.
    data: the images.
    chosen: settings of the recipe, by name, which say what the data are.
    workdir: see above.
    say: is told in a line where one is trained.

  Raises:
    ValueError: the classifier is of other images or classes than data, or
      settings do not fit.
    Stopped: a signal came while it was trained.
  """
  if classifier is not None:
    return open_judge(classifier, data.description)
  own = os.path.join(workdir, 'classifier')
  say(f'no classifier given: taking one trained here, in {own}')
  return _train(settings_for(data, chosen), data, own)


def width_for(shape: Shape) -> tuple[int, ...]:
  """Channels of a small classifier of images: two levels halve the sides."""
  return (16,) if any(side % 2 for side in shape[:2]) else (16, 32)


def untrained_features(shape: Shape) -> Callable[[np.ndarray], np.ndarray]:
  """Features x [N, *shape] -> [N, F] of a convolutional network as it begins.

  They see edges, colours and texture, and are the same for all data of a shape.

  Args:
    shape: height, width and channels, or length and channels.
  """
  as_image = shape if len(shape) == 3 else (shape[0], 1, shape[1])
  network = build(Settings(shape=as_image, width=width_for(as_image)))
  params = network.init(keys.key(0, 'init'), None)
  features = functools.partial(jax.jit(network.parts.features), params)
  return lambda x: in_blocks(features, x.reshape(-1, *as_image))


def retrain(judge: Judge, data: named.Data) -> Judge:
  """A classifier of the same recipe and seed, trained on other data."""
  settings = dataclasses.replace(judge.settings, num_examples=len(data.train))
  with tempfile.TemporaryDirectory() as workdir:
    try:
      return _train(settings, data, workdir)
    except Stopped as error:
      raise KeyboardInterrupt from error  # nothing is kept


def _train(settings, data, workdir):
  fit_run(TASK, settings, data, workdir)
  return judge_of(open_run(workdir))
