"""A trained classifier as the judge of images."""

import functools
import os
import tempfile
from typing import Any, Callable, Mapping, NamedTuple

from absl import flags
import numpy as np

from experiments import classifier_run
from experiments import common
from experiments import train_classifier
from experiments.image_data import Split
from genjax.checks import check
from genjax.data import named
from genjax.metrics.classification import likeliest

_DATA = ('data', 'image_size', 'held_out')


class Judge(NamedTuple):
  """What a classifier makes of images x [N, H, W, C] in [-1, 1]."""

  features: Callable[[np.ndarray], np.ndarray]  # -> [N, F]
  # -> int [N], the likeliest class, -1 where it says none
  said: Callable[[np.ndarray], np.ndarray]
  settings: dict[str, Any]  # of its training
  extractor: str  # name by hash of what makes the features


def load_judge(workdir: str) -> Judge:
  """The classifier in a workdir of train_classifier."""
  model, params, _ = classifier_run.load_run(workdir)
  logits = classifier_run.in_blocks(model.logits)
  return Judge(
      functools.partial(classifier_run.in_blocks(model.features), params),
      lambda x: likeliest(logits(params, x)),
      common.read_settings(workdir), classifier_run.extractor_hash(params))


def open_judge(
    data: named.Data | Split, named_by: Mapping[str, Any] | None = None
) -> Judge:
  """The classifier of --classifier, or one trained on data in the workdir.

  Says where it trains one, and finds it there again.

  Args:
    data: the images.
    named_by: settings that name data; flags do where absent.

  Raises:
    ValueError: the classifier is of other images or classes than data.
  """
  values = flags.FLAGS
  if named_by is None:
    named_by = {name: values[name].value for name in _DATA}
  workdir = values.classifier
  if workdir is None:
    workdir = os.path.join(values.workdir, 'classifier')
    print(f'no --classifier: taking one trained here, in {workdir}', flush=True)
    pair = named.Data(*data)
    settings = train_classifier.settings_for(pair, values)
    _train(settings | {name: named_by[name] for name in _DATA}, pair, workdir)
  check(os.path.isdir(workdir), 'classifier',
        'must be the workdir of train_classifier', repr(workdir))
  try:
    judge = load_judge(workdir)
  except ValueError as error:  # which calls the flag by its usual name
    raise ValueError(str(error).replace('workdir', '--classifier')
                     ) from error
  shape, names = data.description.shape, data.description.class_names
  of = judge.settings
  check((tuple(of['shape']), tuple(of['class_names'])) == (shape, names),
        'classifier', f'{workdir!r} must tell the {len(names)} classes of '
        f'{named_by["data"]!r} in images of shape {shape}',
        f'{len(of["class_names"])} classes, shape {tuple(of["shape"])}')
  return judge


def retrain(judge: Judge, data: named.Data | Split) -> Judge:
  """A classifier of the same recipe and seed, trained on other data."""
  with tempfile.TemporaryDirectory() as workdir:
    _train({**judge.settings, 'num_examples': len(data.train)},
           named.Data(*data), workdir)
    return load_judge(workdir)


def _train(settings, data, workdir):
  if not train_classifier.train(settings, data, workdir):
    raise SystemExit(130)
