"""Settings of a diffusion model of images or points."""

import dataclasses
from typing import Any, Mapping

import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import sources
from genjax.data.levels import levels_of
from genjax.data.scaled import TYPES
from genjax.diffusion.guided import METHODS
from genjax.diffusion.named import LEARNED
from genjax.diffusion.named import NETWORKS
from genjax.diffusion.named import Parts
from genjax.diffusion.named import PREDICTIONS
from genjax.diffusion.named import PROCESSES
from genjax.diffusion.named import SAMPLERS
from genjax.diffusion.named import TIMES
from genjax.diffusion.named import WEIGHTINGS
from genjax.runs import fields
from genjax.runs.data import bits_of
from genjax.runs.data import channels_of
from genjax.runs.settings import setting
from genjax.types import Source


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a diffusion model. The defaults are those for 8x8 digits."""

  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  bits: int | None = fields.bits(8)
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  horizontal_flip: bool = setting(False, help='Whether every training '
                                  'image is mirrored with probability 0.5.')
  crop: int = setting(0, low=0, high=4095, help='Pixels by which images are '
                      'reflected beyond their borders in training, before a '
                      'window of their size is cut out at random; 0 for none.')
  augment: float = setting(
      0.0, low=0.0, high=1.0, help='Probability with which a training image '
      'is changed in each of these ways: flipped upside down, scaled, rotated, '
      'stretched, moved. Above 0 every image is also mirrored with probability '
      '0.5. The network is told how an image was changed; samples are of '
      'unchanged images. 0 changes none; EDM (arXiv:2206.00364) has 0.12.')
  seed: int = fields.seed()
  steps: int = fields.steps(6000)
  batch_size: int = fields.batch_size(32)
  micro_batches: int = fields.micro_batches()
  steps_per_call: int = fields.steps_per_call()
  parallel: str = fields.parallel()
  tensor_parallel: int = fields.tensor_parallel()
  log_every: int = fields.log_every(100)
  save_every: int = fields.save_every(1000)
  keep_every: int = fields.keep_every()
  profile_steps: str | None = fields.profile_steps()
  scored: int = setting(0, low=0, high=10**5, free=True, help='Number of '
                        'samples that are drawn at every checkpoint and '
                        'compared with held-out images, where there are some: '
                        'Frechet distance, copies of training images, classes '
                        'recognised. 0 for none; else 20 or more, and 130 for '
                        'the distance.')
  optimizer: str = setting('adam', choices=('adam', 'muon'), help='Optimizer: '
                           'adam; or muon, which makes the momentum of every '
                           'matrix and convolution orthogonal before it is '
                           'applied, and moves all other parameters by Adam.')
  learning_rate: float = fields.learning_rate(5e-3)
  warmup: int = fields.warmup(100)
  b2: float = fields.b2(0.99)
  ema_decay: float = fields.ema_decay(0.998)
  ema_widths: tuple[float, ...] = fields.ema_widths()
  init_from: str | None = fields.init_from()
  dropout: float = fields.dropout(0.0)
  dtype: str = fields.dtype()
  remat: bool = setting(
      False, free=True, help='Whether the backward pass computes what is '
      'within each block of the network again, rather than keep it: a step '
      'takes about a third longer, and less memory on a GPU or TPU.')
  conditional: bool = fields.conditional()
  label_dropout: float = setting(
      0.1, low=0.0, high=0.99, help='Share of the examples whose class the '
      'model is not told in training, as classifier-free guidance needs.')
  network: str = setting('unet', choices=tuple(NETWORKS), help='Network: unet, '
                         'mp_unet or dit for images, dit for signals, mlp for '
                         'points. An mp_unet keeps the magnitude of what '
                         'passes through it and the norm of its weights, as '
                         'in EDM2 (arXiv:2312.02696).')
  width: tuple[int, ...] = fields.width((24, 32))
  depth: int = fields.depth(1)
  attention_levels: tuple[int, ...] = setting(
      (), low=0, high=63, lengths=(0, 64), distinct=True, help='Levels of a '
      'unet or mp_unet with self-attention; 0 is the finest.')
  head_dim: int = setting(8, low=1, high=2**16, help='Channels of each head '
                          'of self-attention.')
  groups: int = setting(8, low=1, high=2**16, help='Number of groups in which '
                        'a unet normalises channels.')
  patch_size: int = setting(2, low=1, high=4096, help='Side in pixels of the '
                            'patches of a dit, or their length in a signal.')
  fourier: tuple[int, ...] = setting(
      (), low=0, high=16, lengths=(0, 16), distinct=True, help='Powers n of '
      'the waves sin and cos of 2^n pi x that the network is given beside its '
      'input x.')
  process: str = setting('edm', choices=(*PROCESSES, *LEARNED),
                         help='Noise process.')
  sigma_min: float = setting(0.01, above=0.0, high=1e6, help='Noise over '
                             'signal at the first time of the processes edm, '
                             've and learned.')
  sigma_max: float = setting(20.0, above=0.0, high=1e6, help='Noise over '
                             'signal at the last time of the processes edm, ve '
                             'and learned.')
  log_snr_shift: float = setting(
      0.0, low=-20.0, high=20.0, help='Nats by which the logarithm of signal '
      'over noise is higher at every time of the processes vp_cosine and '
      'flow_matching: 2 ln(64 / d) suits images of side d (arXiv:2301.11093).')
  times_mean: float = setting(-0.9, low=-20.0, high=20.0, help='Mean of ln '
                              '(noise over signal) in training by the '
                              'processes edm and ve.')
  times_std: float = setting(1.2, above=0.0, high=20.0, help='Standard '
                             'deviation of ln (noise over signal) in training '
                             'by the processes edm and ve.')
  prediction: str = setting('edm', choices=tuple(PREDICTIONS), help='What the '
                            'network predicts.')
  weighting: str | None = setting(
      None, choices=tuple(WEIGHTINGS), help='Weights of the noise levels in '
      'the training loss; absent, those that go with the prediction.')
  uncertainty: bool = setting(False, help='Whether the expected loss of each '
                              'noise level is learned, and the loss divided by '
                              'it.')
  times: str = setting('process', choices=TIMES, help='Times that are trained '
                       'at: process, those that go with the process; log_snr, '
                       'even in the logarithm of signal over noise between '
                       'sigma_min and sigma_max; importance, more often where '
                       'the loss is larger.')
  dequantise: bool = setting(False, help='Whether uniform noise of the width '
                             'of a level is added to pixels in training, as '
                             'their likelihood needs.')
  levels: int | None = fields.levels(None)
  sampler: str = setting('dpm_solver_2m', choices=tuple(SAMPLERS), free=True,
                         help='Method by which samples are drawn.')
  sampling_steps: int = setting(18, low=2, high=10**5, free=True, help='Number '
                                'of steps in which a sample is drawn.')
  rho: float | None = setting(
      None, low=1.0, high=1e4, free=True, help='Power of the noise levels that '
      'a sample is drawn on, even in (noise over signal)^(1 / rho): 7 is '
      "EDM's, 1000 nearly even in its logarithm; absent, the process's own.")
  eta: float | None = setting(
      None, low=0.0, high=1.0, free=True, help='Share of the noise that the '
      'sampler ddim draws afresh in each step; absent, 0.')
  churn: float | None = setting(
      None, low=0.0, high=1e4, free=True, help='Noise that the sampler heun '
      'adds over all steps (S_churn of EDM); absent, 0.')
  tau: float | None = setting(
      None, low=0.0, high=10.0, free=True, help='Scale of the noise of the '
      'samplers whose name ends in sde, 0 for none; absent, 1.')
  guidance: float = setting(1.15, low=0.0, high=1e3, free=True, help='Scale of '
                            'the guidance of samples; 1 is none.')
  guidance_log_snr: tuple[float, ...] = setting(
      (-4.0, 4.0), low=-40.0, high=40.0, lengths=(2, 2), free=True,
      help='Least and largest logarithm of signal over noise, in nats, at '
      'which samples are guided, such as -4,4.')
  guidance_method: str = setting(
      'classifier_free', choices=tuple(METHODS), free=True, help='How samples '
      'are guided: ' + '; '.join(f'{name}, {what}' for name, what in
                                 METHODS.items()) + '.')
  guidance_eta: float = setting(
      0.0, low=0.0, high=1.0, free=True, help='Share of the part of guidance '
      'along the image that projected guidance keeps; 1 keeps all.')
  guidance_limit: float | None = setting(
      None, above=0.0, high=1e6, free=True, help='Largest norm of the '
      'difference by which projected guidance moves an image; absent, none.')
  guidance_momentum: float = setting(
      0.0, low=-0.99, high=0.99, free=True, help='Share of the difference of '
      'the step before that projected guidance adds; below 0 it is taken off.')
  guidance_share: float = setting(
      0.7, low=0.0, high=1.0, free=True, help='How far rescaled guidance goes '
      'to the standard deviation of the unguided image: 1 all the way.')
  guidance_still: int = setting(
      1, low=0, high=10**5, free=True, help='Number of first steps that '
      'zero_star guidance does not make.')
  shape: tuple[int, ...] = fields.shape((8, 8, 1))
  class_names: tuple[str, ...] = fields.class_names()
  vector_names: tuple[str, ...] = setting(
      (), lengths=(0, 256), distinct=True, help='Names of the numbers that the '
      'model is told beside an example, in their order.')
  vector_mean: tuple[float, ...] = setting(
      (), low=-1e30, high=1e30, lengths=(0, 256), help='Mean of each of these '
      'numbers over the training data.')
  vector_std: tuple[float, ...] = setting(
      (), above=0.0, high=1e30, lengths=(0, 256), help='Standard deviation of '
      'each of these numbers over the training data.')
  value_range: tuple[float, ...] = setting(
      (), low=-1e30, high=1e30, lengths=(0, 2), help='Lowest and highest '
      'number of the data, which the network is given as -1 and 1; absent of '
      'pixels of 8 bits, which are from 0 to 255, and of points.')
  value_type: str | None = setting(
      None, choices=TYPES, help='Type of these numbers, which samples are '
      'written in.')
  num_examples: int = fields.num_examples()
  data_std: float = fields.data_std()
  init_id: str | None = fields.init_id()


# What the recipes after EDM have in common; for a GPU or TPU.
_EDM: Mapping[str, Any] = dict(
    label_dropout=0.0, groups=32, b2=0.999, times_mean=-1.2, sigma_min=0.002,
    sigma_max=80.0, sampler='heun', guidance=1.0, log_every=500,
    save_every=10_000)


def _dit(width: int, depth: int, head_dim: int) -> Mapping[str, Any]:
  """A size of DiT, trained as in the paper on noise levels and weights of EDM.

  arXiv:2212.09748, table 1 and section 4. The paper's models of 256x256 images
  see 256 patches of 2x2 latent pixels, these 256 patches of 4x4 pixels.
  """
  return dict(
      data='tfds:imagenet_resized/64x64', horizontal_flip=True, network='dit',
      width=(width,), depth=depth, head_dim=head_dim, patch_size=4,
      dtype='bfloat16', steps=400_000, batch_size=256, learning_rate=1e-4,
      b2=0.999, warmup=0, ema_decay=0.9999, times_mean=-1.2, sigma_min=0.002,
      sigma_max=80.0, guidance=1.5, log_every=500, save_every=10_000)


RECIPES: Mapping[str, Mapping[str, Any]] = {
    # 8x8 digits on a laptop CPU, in minutes; small images in general.
    'digits': {},
    # 2-D points, in under a minute.
    'toy': dict(
        data='toy:moons', network='mlp', width=(128,), depth=3, steps=2000,
        batch_size=256, learning_rate=2e-3, times_mean=-1.0, times_std=1.6,
        sigma_min=0.002, sampling_steps=32, sampler='heun', guidance=1.0),
    # 8x8 digits by the variational bound of their likelihood, after VDM
    # (arXiv:2107.00630): pixels with noise, waves of the width of a level, no
    # downsampling. Of levels of 1 / 8 the least noise is a hundredth.
    'likelihood': dict(
        dequantise=True, weighting='elbo', times='log_snr', fourier=(3, 4),
        sigma_min=0.0015, conditional=False, guidance=1.0, width=(32,),
        batch_size=64, steps=8000, ema_decay=0.999, sampling_steps=32),
    # EDM (arXiv:2206.00364, table 7) of 32x32 images: 200 million in batches
    # of 512, the learning rate raised over 10 million, an average of half-life
    # 0.5 million. Its published FID, of the authors' DDPM++ of 55.7 million
    # parameters, is 1.79; this is DDPM's U-Net of the same levels, 59.0
    # million. Other than there, the rate falls along a cosine, and gradients
    # are clipped.
    'cifar10': dict(
        _EDM, data='tfds:cifar10', augment=0.12, width=(256, 256, 256), depth=4,
        attention_levels=(1,), head_dim=256, dropout=0.13, steps=390_625,
        batch_size=512, learning_rate=1e-3, ema_decay=0.9993, warmup=19_531),
    # EDM of 64x64 images: 2500 million in batches of 4096, half-life 50
    # million. Its published FID is 1.36, in 511 evaluations
    # (--sampling_steps=256 --churn=40), of the authors' ADM of 295.9 million
    # parameters; this is DDPM's U-Net of the same levels, 265.7 million, and
    # as for cifar10.
    'imagenet64': dict(
        _EDM, data='tfds:imagenet_resized/64x64', width=(192, 384, 576, 768),
        depth=3, attention_levels=(1, 2, 3), head_dim=64, dropout=0.1,
        dtype='bfloat16', steps=610_352, batch_size=4096, learning_rate=1e-4,
        ema_decay=0.999943, warmup=2441, sampling_steps=40),
    'dit_s': _dit(384, 12, 64),
    'dit_b': _dit(768, 12, 64),
    'dit_l': _dit(1024, 24, 64),
    'dit_xl': _dit(1152, 28, 72),
}

# Where a network other than the recipe's is chosen.
_WIDTHS = {'unet': (24, 32), 'mp_unet': (24, 32), 'dit': (64,), 'mlp': (128,)}


def choose(
    recipe: str | Mapping[str, Any], chosen: Mapping[str, Any]
) -> Settings:
  """The settings of a recipe, or of a name in RECIPES, with `chosen` over it.

  Where only the network is chosen, the width goes with it; levels of attention
  that the width has not are left out unless they are chosen.
  """
  base = RECIPES[recipe] if isinstance(recipe, str) else recipe
  found, before = Settings(**{**base, **chosen}), Settings(**base)
  if 'width' not in chosen and found.network != before.network:
    found = dataclasses.replace(
        found, width=_WIDTHS.get(found.network, found.width))
  if 'attention_levels' not in chosen:
    found = dataclasses.replace(found, attention_levels=tuple(
        level for level in found.attention_levels if level < len(found.width)))
  return found


def with_facts(settings: Settings, data: named.Data) -> Settings:
  """`settings` with what they say of the data.

  Shape, classes, numbers told beside, range, spread; and levels, of pixels that
  are dequantised, where they are not chosen.

  Raises:
    ValueError: data that do not vary.
  """
  description, x = data.description, named.some_of(data.train)
  scale = data.scale
  std, levels = float(np.std(x, dtype=np.float64)), settings.levels
  if levels is None and settings.dequantise:
    levels = levels_of(x) if scale is None else scale.num_levels
  check(std > 0, 'data',
        'must vary: its standard deviation must be positive', std)
  names, vector_mean, vector_std = vector_facts(data.train)
  return dataclasses.replace(
      settings, shape=tuple(description.shape),
      class_names=tuple(description.class_names),
      value_range=() if scale is None else (scale.low, scale.high),
      value_type=scale and scale.type, vector_names=names,
      vector_mean=vector_mean, vector_std=vector_std,
      num_examples=description.size, data_std=std, levels=levels,
      channels=channels_of(settings.data, description.shape),
      bits=bits_of(settings.data, scale))


def vector_facts(
    source: Source
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
  """Name, mean and standard deviation of each number told beside an example.

  Raises:
    ValueError: one that does not vary.
  """
  names = sources.vector_names(source)
  if not names:
    return (), (), ()
  vectors = sources.vectors_of(source).astype(np.float64)
  std = vectors.std(0)
  for name, scale in zip(names, std):
    check(scale > 0, 'labels', f'the column {name!r} must vary in the training '
          'data', scale)
  return names, tuple(vectors.mean(0).tolist()), tuple(std.tolist())


def parts_of(settings: Settings) -> Parts:
  """What the model of some settings is made of."""
  values: dict[str, Any] = {name: getattr(settings, name)
                            for name in Parts._fields
                            if name not in ('num_classes', 'augmented')}
  if not settings.conditional:
    values |= {'vector_mean': (), 'vector_std': ()}
  return Parts(num_classes=num_classes(settings),
               augmented=settings.augment > 0, **values)


def is_told(settings: Settings) -> bool:
  """Whether the model is told anything of an example: its class or numbers."""
  return num_classes(settings) is not None or (
      settings.conditional and bool(settings.vector_names))


def num_classes(settings: Settings) -> int | None:
  """How many classes the model is told; None where it is told none."""
  return (len(settings.class_names) or None) if settings.conditional else None
