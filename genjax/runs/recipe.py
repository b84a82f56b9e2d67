"""Settings that fit images and signals: their size and number, the device."""

import math
from typing import Any, Mapping

from genjax.types import Shape

SCORED, SCORING_STEPS = 256, 10  # samples of a checkpoint, and their steps
_PATCHES, _LONGEST = 32, 4096  # of a signal; steps of a patch
_WIDTH = {False: (24, 48, 64, 96, 128), True: (128, 256, 256, 256, 512)}


def choose(
    shape: Shape, num_examples: int, *, accelerator: bool,
    chosen: Mapping[str, Any] = {}
) -> dict[str, Any]:
  """Settings of a diffusion model of images or signals, by name.

  A U-Net whose coarsest level has eight pixels a side or fewer, with
  self-attention there; at most five levels, and as many as the sides can be
  halved. The largest noise is in proportion to the side (that of EDM,
  arXiv:2206.00364, table 1, at 32 pixels), as neighbours say more of a pixel
  where there are more of them. Few images want dropout. Signals pass a
  transformer in about 32 patches; of their neighbours there are fewer, and the
  largest noise is in proportion to the root of their length.

  Args:
    shape: height, width and channels, or length and channels.
    num_examples: to train on.
    accelerator: whether it is trained on a GPU or TPU, for a day rather than
      for half an hour.
    chosen: settings that the rest is to go with.
  """
  signal = len(shape) == 2
  side = math.sqrt(shape[0]) if signal else max(shape[:2])
  small = side <= 8 and not (accelerator or signal)
  steps = 400_000 if accelerator else 6000 if small else 4000
  batch_size = chosen.get('batch_size', 256 if accelerator else 32)
  # Where steps are few and dear, Muon's are worth more than they cost.
  muon = chosen.get('optimizer', 'adam' if accelerator or small else 'muon'
                    ) == 'muon'
  return {
      **(_dit(shape[0], accelerator, chosen.get('width')) if signal else
         _unet(shape[0], shape[1], accelerator, chosen.get('width'))
         if chosen.get('network', 'unet') in ('unet', 'mp_unet') else {}),
      'batch_size': batch_size,
      'optimizer': 'muon' if muon else 'adam',
      'learning_rate': (4e-4 if accelerator else 6e-3 if muon else
                        5e-3 if small else 1e-3),
      'warmup': 5000 if accelerator else 100,
      'ema_decay': 0.9999 if accelerator else 0.998,
      'ema_widths': (0.05, 0.1),
      'dropout': 0.1 if num_examples < 2000 else 0.0,
      'sigma_max': max(20.0, 2.5 * side),
      'times_mean': -0.9 if small else -1.2,
      'steps': steps, 'log_every': 100, 'scored': SCORED,
      'save_every': max(steps // 8, spacing(
          batch_size, num_examples, chosen.get('scored', SCORED))),
      **chosen,
  }


def spacing(batch_size: int, num_examples: int, scored: int) -> int:
  """Steps between checkpoints of which samples and losses are a twentieth.

  A step is four evaluations of the network for each example of a batch, or
  more: the loss, its gradient, which takes two or three, and the optimizer's
  own. A checkpoint is 100 samples of 18 steps, with and without their class,
  those that are scored, and the losses of held-out images, a ninth of the
  others, three times. A fifth is left for what else there is to do.
  """
  evaluations = 2 * 100 * 18 + scored * SCORING_STEPS + 3 * num_examples / 9
  return math.ceil(25 * evaluations / (4 * batch_size))


def _unet(
    height: int, width: int, accelerator: bool, channels: Any
) -> dict[str, Any]:
  """Levels, channels where they are not given, and attention."""
  side, levels = max(height, width), 1
  while levels < 5 and side >> (levels - 1) > 8 and not (
      height % 2**levels or width % 2**levels):
    levels += 1
  small = levels == 1 and not (accelerator or height % 2 or width % 2)
  if channels is None:  # of the least images, those that suit the digits
    channels = (24, 32) if small else _WIDTH[accelerator][:levels]
  attended = levels - 1 if len(channels) >= levels > 1 else None
  return {
      'width': channels, 'depth': 2 if accelerator else 1, 'groups': 8,
      'attention_levels': () if attended is None else (attended,),
      'head_dim': 8 if attended is None else math.gcd(
          64 if accelerator else 32, channels[attended])}


def _dit(length: int, accelerator: bool, width: Any) -> dict[str, Any]:
  """A transformer of a signal, in the number of patches nearest to 32."""
  width = width or ((256,) if accelerator else (64,))
  sizes = [p for p in range(1, min(length, _LONGEST) + 1) if length % p == 0]
  return {
      'network': 'dit', 'width': width, 'depth': 8 if accelerator else 3,
      'head_dim': math.gcd(64 if accelerator else 16, *width),
      'patch_size': min(sizes, key=lambda p: abs(math.log(
          length / p / _PATCHES)))}


def described(settings: Any) -> str:
  """What was chosen, in one line."""
  return (f'{settings.network} of {", ".join(map(str, settings.width))} '
          f'channels, {settings.optimizer} at a learning rate of '
          f'{settings.learning_rate:g}, {settings.steps} steps of '
          f'{settings.batch_size} images '
          f'({settings.steps * settings.batch_size / settings.num_examples:.3g}'
          f' passes over {settings.num_examples} examples)')
