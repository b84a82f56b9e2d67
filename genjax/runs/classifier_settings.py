"""Settings of a discriminative network."""

import dataclasses
from typing import Any, Mapping

from genjax.networks.mlp import ACTIVATIONS
from genjax.runs import fields
from genjax.runs.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a network and its training; the defaults are those for images."""

  task: str = setting(
      'classification', choices=('classification', 'regression'),
      help='What is told: the class of an example, or the last coordinate of '
      'a point from the others.')
  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  bits: int | None = fields.bits(8)
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  seed: int = fields.seed()
  steps: int = fields.steps(600)
  batch_size: int = fields.batch_size(64)
  micro_batches: int = fields.micro_batches()
  steps_per_call: int = fields.steps_per_call()
  parallel: str = fields.parallel()
  tensor_parallel: int = fields.tensor_parallel()
  log_every: int = fields.log_every(50)
  save_every: int = fields.save_every(200)
  keep_every: int = fields.keep_every()
  profile_steps: str | None = fields.profile_steps()
  learning_rate: float = fields.learning_rate(3e-3)
  warmup: int = fields.warmup(50)
  b2: float = fields.b2(0.99)
  weight_decay: float = fields.weight_decay(1e-2)
  ema_decay: float = fields.ema_decay(0.98)
  init_from: str | None = fields.init_from()
  width: tuple[int, ...] = fields.width((16, 32))
  features: int = setting(64, low=1, high=2**16, help='Features of an image.')
  groups: int = setting(8, low=1, high=2**16, help='Largest number of groups '
                        'in which a network for images normalises channels.')
  activation: str = setting('relu', choices=tuple(sorted(ACTIVATIONS)),
                            help='Activation of the network for points.')
  dropout: float = fields.dropout(0.1)
  dtype: str = fields.dtype()
  label_smoothing: float = setting(0.02, low=0.0, high=1.0, help='Share of a '
                                   'label that is spread over all classes.')
  mixup: float = setting(0.0, low=0.0, high=1e3, help='Concentration of the '
                         'weights that mix two examples; 0 mixes none.')
  shift: int = setting(1, low=0, high=4096, help='Largest number of pixels by '
                       'which a training image is moved at random.')
  noise: float = setting(0.0, low=0.0, high=1e4, help='Largest noise over '
                         'signal of training images, so that the classifier '
                         'can guide a diffusion model: 50, say; 0 trains on '
                         'images as they are.')
  shape: tuple[int, ...] = fields.shape((8, 8, 1))
  class_names: tuple[str, ...] = fields.class_names()
  num_examples: int = fields.num_examples()
  init_id: str | None = fields.init_id()


# That of images was chosen on a validation part of the digits' training set.
_POINT = dict(dropout=0.0, label_smoothing=0.0, shift=0)
RECIPES: Mapping[str, Mapping[str, Any]] = {
    'images': {},
    'points': dict(_POINT, width=(64, 64), batch_size=128, steps=2000,
                   learning_rate=1e-2, save_every=100),
    'curve': dict(_POINT, task='regression', data='toy:line', width=(),
                  activation='tanh', batch_size=1000, steps=1000,
                  weight_decay=0.0, learning_rate=3e-2, save_every=500)}
