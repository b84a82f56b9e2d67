"""Settings of a variational autoencoder of images, and what it is given."""

import dataclasses
from typing import Any, Mapping

from genjax.checks import check
from genjax.data.levels import dequantise
from genjax.data.levels import on_levels
from genjax.data.named import Data
from genjax.runs import fields
from genjax.runs.data import channels_of
from genjax.runs.settings import setting
from genjax.types import Batch
from genjax.types import Key
from genjax.vae import likelihoods
from genjax.vae import named

_LARGE = 1e6  # weights of the loss


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a variational autoencoder. The defaults are those for digits."""

  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  seed: int = fields.seed()
  steps: int = fields.steps(2000)
  batch_size: int = fields.batch_size(64)
  micro_batches: int = fields.micro_batches()
  steps_per_call: int = fields.steps_per_call()
  parallel: str = fields.parallel()
  tensor_parallel: int = fields.tensor_parallel()
  log_every: int = fields.log_every(100)
  save_every: int = fields.save_every(500)
  keep_every: int = fields.keep_every()
  profile_steps: str | None = fields.profile_steps()
  learning_rate: float = fields.learning_rate(2e-3)
  warmup: int = fields.warmup(100)
  b2: float = fields.b2(0.99)
  weight_decay: float = fields.weight_decay(0.1)
  ema_decay: float = fields.ema_decay(0.998)
  ema_widths: tuple[float, ...] = fields.ema_widths()
  init_from: str | None = fields.init_from()
  conditional: bool = fields.conditional()
  dtype: str = fields.dtype()
  latents: int = setting(16, low=1, high=2**16, help='Length of a code.')
  network: str = setting('mlp', choices=tuple(named.NETWORKS),
                         help='Network of the encoder and of the decoder.')
  width: tuple[int, ...] = setting(
      (256, 256), low=1, high=2**16, lengths=(1, 64), help='Units of each '
      'layer of an mlp (256,256), or channels of each level of a conv (32,64).')
  groups: int = setting(8, low=1, high=1024, help='Largest number of groups in '
                        'which a convolutional network normalises channels.')
  likelihood: str = setting(
      'discretized_logistic', choices=tuple(named.LIKELIHOODS),
      help='Distribution p(x | z) of a pixel; a gaussian is a density of '
      'dequantised pixels.')
  levels: int = fields.levels(17)
  scale: str = setting('each', choices=likelihoods.SCALES, help='What the '
                       'learned noise of p(x | z) has a scale for: one that is '
                       'shared, one for each value of an image, or an output '
                       'of the decoder.')
  prior: str = setting('normal', choices=tuple(named.PRIORS),
                       help='Distribution p(z) of codes.')
  components: int = setting(50, low=1, high=10**5, help='Number of '
                            'components of the prior vamp, a mixture.')
  posterior: str = setting('diagonal', choices=tuple(named.POSTERIORS),
                           help='Distribution q(z | x) of the codes of an '
                           'image.')
  flow_layers: int = setting(4, low=1, high=256, help='Layers of a prior or a '
                             'posterior that is a flow.')
  context: int = setting(32, low=1, high=2**16, help='Number of outputs of the '
                         'encoder that a posterior flow is told.')
  objective: str = setting('elbo', choices=('elbo', 'iwae'), help='Lower bound '
                           'of log p(x) that training raises.')
  importance_samples: int = setting(5, low=1, high=10**5, help='Number of '
                                    'codes of an image in the objective iwae.')
  beta: float = setting(1.0, low=0.0, high=_LARGE, help='Weight of the KL '
                        'divergence in the objective elbo.')
  free_bits: float = setting(0.0, low=0.0, high=_LARGE, help='Nats of KL '
                             'divergence of a dimension of the code for which '
                             'the objective elbo charges nothing.')
  shape: tuple[int, ...] = fields.shape((8, 8, 1))
  class_names: tuple[str, ...] = fields.class_names()
  num_examples: int = fields.num_examples()
  init_id: str | None = fields.init_id()


# By the data. That of digits was chosen on a validation part of their training
# set.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    'digits': {},
    'binarized_digits': {'likelihood': 'bernoulli', 'levels': 2},
    'images': {'network': 'conv', 'width': (32, 64, 64), 'latents': 64,
               'levels': 256, 'scale': 'output', 'steps': 10_000,
               'learning_rate': 1e-3, 'save_every': 1000},
}

# Where a network other than the recipe's is chosen.
_WIDTHS = {'mlp': (256, 256), 'conv': (32, 64)}

# (setting, value) -> settings of which it makes no use.
_UNUSED = {('objective', 'elbo'): ('importance_samples',),
           ('objective', 'iwae'): ('beta', 'free_bits'),
           ('likelihood', 'bernoulli'): ('scale',)}


def choose(chosen: Mapping[str, Any]) -> Settings:
  """The recipe that goes with the data, with what is `chosen` over it.

  Raises:
    ValueError: something is chosen of which no use would be made.
  """
  data = chosen.get('data', 'digits')
  recipe = RECIPES.get(data, RECIPES['images'])
  settings = Settings(**{**recipe, **chosen})
  if 'width' not in chosen and settings.network != Settings(**recipe).network:
    width = _WIDTHS.get(settings.network, settings.width)
    settings = dataclasses.replace(settings, width=width)
  for (name, value), others in _UNUSED.items():
    for other in others:
      check(getattr(settings, name) != value or other not in chosen, other,
            f'must be absent for the {name} {value}', chosen.get(other))
  return settings


def with_facts(settings: Settings, data: Data) -> Settings:
  """`settings` with what they say of the data.

  Raises:
    ValueError: the data are no images of 8 bits.
  """
  described, scale = data.description, data.scale
  check(len(described.shape) == 3, 'data', 'must be images',
        f'{settings.data!r} of shape {described.shape}')
  check(scale is None, 'data', 'must be images of 8 bits for a VAE, whose '
        'likelihood is of their levels', f'{settings.data!r} of type '
        f'{scale and scale.type}')
  return dataclasses.replace(
      settings, shape=tuple(described.shape),
      class_names=tuple(described.class_names), num_examples=described.size,
      channels=channels_of(settings.data, described.shape))


def num_classes(settings: Settings) -> int | None:
  """How many classes the model is told; None where it is told none."""
  return (len(settings.class_names) or None) if settings.conditional else None


def is_density(settings: Settings) -> bool:
  """Whether the model is of dequantised pixels, and has no mass at levels."""
  return settings.likelihood == 'gaussian'


def inputs(settings: Settings, key: Key, batch: Batch) -> Batch:
  """What the model is given of a batch: pixels on levels, labels if it may.

  A density is of pixels that are dequantised, by `key` and each example's
  index.
  """
  x = on_levels(batch['x'], settings.levels)
  if is_density(settings):
    x = dequantise(key, x, batch['index'], settings.levels)
  cond = {} if num_classes(settings) is None else batch['cond']
  return {**batch, 'x': x, 'cond': cond}
