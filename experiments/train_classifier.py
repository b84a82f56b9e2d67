"""Trains a feature extractor with a task's head, and shows what it sees.

  python -m experiments.train_classifier --workdir=runs/classifier
  python -m experiments.train_classifier --workdir=runs/spirals \
      --data=toy:spirals,turns=2,noise=0.05
  python -m experiments.train_classifier --task=regression --workdir=runs/line

Classifies digits, images of a folder or a tfds set, or points in the plane;
or fits a line (a curve, with --width=32,32) to points. Writes results.json,
metrics.jsonl, checkpoints and figures. The same command again goes on where
the run was stopped.
"""

from typing import Any

from absl import flags

from experiments import app
from experiments import classifier_report
from experiments import classifier_run
from experiments import common
from experiments import flag_numbers
from experiments import playground
from experiments import training_run
from genjax.checks import check
from genjax.data import named
from genjax.networks.mlp import ACTIVATIONS

_ALL: dict[str, Any] = dict(
    task='classification', seed=0, image_size=None, held_out=0.0,
    parallel='jit', warmup=50, weight_decay=1e-2, ema_decay=0.98, b2=0.99,
    label_smoothing=0.0, mixup=0.0, shift=0, log_every=50)

# A recipe a kind of data: the flags it sets, then what has no flag. That of
# images was chosen on a validation part of the digits' training set.
_IMAGES: dict[str, Any] = dict(
    _ALL, data='digits', extractor='resnet', width=[16, 32], features=64,
    groups=8, dropout=0.1, label_smoothing=0.02, shift=1, batch_size=64,
    steps=600, learning_rate=3e-3, save_every=200)
_POINTS: dict[str, Any] = dict(
    _ALL, extractor='perceptron', width=[64, 64], activation='relu',
    batch_size=128, steps=2000, learning_rate=1e-2, save_every=100)
_CURVE: dict[str, Any] = dict(
    _ALL, task='regression', data='toy:line', extractor='perceptron',
    width=[], activation='tanh', batch_size=1000, steps=1000, weight_decay=0.0,
    learning_rate=3e-2, save_every=500)

_FLAGS = ('task', 'data', 'image_size', 'held_out', 'batch_size', 'steps',
          'learning_rate', 'parallel', 'log_every', 'save_every', 'seed',
          'width', 'activation', 'label_smoothing', 'mixup')


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where the run is kept; again to go on with it')
  common.define_training_flags()
  flags.DEFINE_enum('task', 'classification', ['classification', 'regression'],
                    'tell the class, or the last coordinate of a point from '
                    f'the first. {playground.HELP}')
  flags.DEFINE_list('width', None, 'channels of each level of a ResNet for '
                    'images (16,32), or units of each layer of a perceptron '
                    'for points (64,64); none is a linear model')
  flags.DEFINE_enum('activation', None, sorted(ACTIVATIONS),
                    'of a perceptron')
  flags.DEFINE_float('label_smoothing', None, 'share of the label spread over '
                     'all classes', lower_bound=0, upper_bound=1)
  flags.DEFINE_float('mixup', None, 'how much examples are mixed; 0 is not at '
                     'all', lower_bound=0)


def open_data(values: flags.FlagValues) -> named.Data:
  """The data that the flags name."""
  recipe = _CURVE if values.task == 'regression' else _IMAGES
  spec = values.data or recipe['data']
  kind, _, argument = spec.partition(':')
  if kind == 'toy':
    for name in ('image_size', 'held_out'):
      check(not values[name].value, name, 'must be absent for a toy set',
            values[name].value)
    return playground.open_points(argument, values.task, values.seed)
  check(values.task == 'classification', 'data',
        'must be a toy set for a regression', spec)
  return named.open_data(spec, image_size=values.image_size,
                          held_out=values.held_out, seed=values.seed)


def settings_for(
    data: named.Data, values: flags.FlagValues
) -> dict[str, Any]:
  """The run's settings (JSON values): a recipe, and the flags over it.

  Args:
    data: what is trained on.
    values: of this script's flags, or of those that another shares with it.

  Raises:
    ValueError: a flag that does not go with the data.
  """
  chosen = {name: values[name].value for name in _FLAGS if name in values
            and values[name].value is not None}
  description = data.description
  flat = len(description.shape) == 1
  regression = chosen.get('task') == 'regression'
  settings = {**(_CURVE if regression else _POINTS if flat else _IMAGES),
              **chosen}
  settings['width'] = flag_numbers.counts('width', settings['width'], '16,32',
                                          none=flat)
  for name, right in (('activation', flat), ('label_smoothing', not regression),
                      ('mixup', not regression)):
    check(right or name not in chosen, name,
          f'must be absent for a {settings["extractor"]} in {settings["task"]}',
          chosen.get(name))
  check(regression or description.num_classes is not None, 'data',
        'must have classes (sub-folders of a folder)', repr(settings['data']))
  settings['num_examples'] = description.size  # a folder's may change
  settings['shape'] = list(description.shape)
  settings['num_classes'] = description.num_classes
  settings['class_names'] = list(description.class_names)
  return settings


def train(settings: dict[str, Any], data: named.Data, workdir: str) -> bool:
  """Trains to the last step; returns whether it got there.

  Writes checkpoints, metrics.jsonl and TensorBoard events to `workdir`, and
  goes on from what is there. On points in the plane, figures of what the
  network sees as well.

  Raises:
    ValueError: settings that do not fit each other, the data or the workdir.
  """
  state = classifier_run.init_run(settings)
  return training_run.train(
      settings, data.train, workdir, state=state,
      tx=classifier_run.optimizer(settings),
      loss_fn=classifier_run.make_loss(settings),
      make_hooks=lambda writer: classifier_report.hooks(settings, data,
                                                        workdir))


def main() -> None:
  values = flags.FLAGS
  data = open_data(values)
  settings = settings_for(data, values)
  if not train(settings, data, values.workdir):
    print(f'stopped: the same command goes on with {values.workdir}')
    raise SystemExit(130)
  print(classifier_report.report(settings, data, values.workdir))


if __name__ == '__main__':
  define_flags()
  app.run(main)
