"""A discriminative run: from its settings to model, loss and outputs.

Shared by the scripts that train classifiers and that use their features. A
run's settings are plain JSON, kept in the work directory's flags.json.
"""

import functools
import hashlib
import math
from typing import Any, Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import common
from experiments import training_run
from genjax import discriminative
from genjax.checks import check
from genjax.networks.cnn import ResNet
from genjax.networks.mlp import Perceptron
from genjax.training.optimizers import make_optimizer
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.types import LossFn
from genjax.types import Params

Settings = Mapping[str, Any]

EXTRACTORS: Mapping[str, Callable[[Settings], Any]] = {
    'resnet': lambda s: ResNet(
        channels=tuple(s['width']), features=s['features'],
        groups=math.gcd(s['groups'], *s['width']), dropout=s['dropout']),
    'perceptron': lambda s: Perceptron(tuple(s['width']), s['activation']),
}

_BLOCK = 500  # examples through the network at a time


def is_regression(settings: Settings) -> bool:
  """Whether the last coordinate of a point is to be told from the others."""
  return settings['task'] == 'regression'


def build_model(settings: Settings) -> discriminative.Discriminative:
  """The model that `settings` describe.

  Its outputs are the logits of the classes, or the mean of a regression and
  the logarithm of its constant scale.

  Raises:
    ValueError: the settings are those of another kind of run.
  """
  check(settings.get('extractor') in EXTRACTORS, 'workdir',
        'must be the folder of a run of train_classifier', 'another run')
  extractor = EXTRACTORS[settings['extractor']](settings)
  if is_regression(settings):
    return discriminative.make_discriminative(extractor, 1, num_constants=1)
  return discriminative.make_discriminative(extractor, settings['num_classes'])


def optimizer(settings: Settings) -> optax.GradientTransformation:
  """The run's optimizer."""
  return make_optimizer(
      settings['learning_rate'], settings['steps'], name='adamw',
      b2=settings['b2'], weight_decay=settings['weight_decay'],
      warmup_steps=min(settings['warmup'], settings['steps'] - 1))


def init_run(settings: Settings) -> State:
  """The state before the first step.

  Raises:
    ValueError: data that the network does not take.
  """
  # A network runs for the first time here, on nothing: compiling it well would
  # take longer than that.
  init = jax.jit(build_model(settings).init, compiler_options={
      'xla_backend_optimization_level': 0}
      if jax.default_backend() == 'cpu' else None)
  params = init(common.root_key(settings['seed'], 'init'),
                _example(settings))
  return init_state(params, optimizer(settings), ['ema'])


def _example(settings):
  shape = [1] if is_regression(settings) else settings['shape']
  return jnp.zeros((1, *shape))


def make_loss(settings: Settings) -> LossFn:
  """The training loss."""
  model = build_model(settings)
  if is_regression(settings):
    return discriminative.make_regression_loss(model, 1)
  augment = functools.partial(discriminative.shift_images,
                              most=settings['shift'])
  return discriminative.make_classification_loss(
      model, label_smoothing=settings['label_smoothing'],
      mixup=settings['mixup'], augment=augment if settings['shift'] else None)


def in_blocks(
    forward: discriminative.Forward
) -> Callable[[Params, np.ndarray], np.ndarray]:
  """`forward` compiled, of x [N, ...] with N too large for one call."""
  compiled = jax.jit(forward)

  def call(params, x):
    return np.concatenate([
        np.asarray(compiled(params, x[i:i + _BLOCK]))
        for i in range(0, len(x), _BLOCK)])

  return call


def load_run(
    workdir: str
) -> tuple[discriminative.Discriminative, Params, int]:
  """Model, averaged parameters and step of the run in `workdir`.

  Raises:
    ValueError: there is no run, or it has no checkpoint yet.
  """
  settings = common.read_settings(workdir)
  model = build_model(settings)
  state, step = training_run.restore(workdir, lambda: init_state(
      model.init(jax.random.key(0), _example(settings)),
      optimizer(settings), ['ema']), 'train_classifier')
  return model, state.averages['ema'], step


def extractor_hash(params: Params) -> str:
  """A short name of the feature extractor in `params`: 12 hexadecimal digits.

  Of the sha256 of its parameters, in the order of their paths. Metrics on
  features are comparable under one name only.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params['extractor']):
    x = np.ascontiguousarray(leaf)
    digest.update(f'{jax.tree_util.keystr(path)} {x.dtype} {x.shape}'.encode())
    digest.update(x.tobytes())
  return digest.hexdigest()[:12]
