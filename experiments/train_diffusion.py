"""Trains a diffusion model on digits, a toy set, a folder or a tfds set.

  python -m experiments.train_diffusion --workdir=runs/digits
  python -m experiments.train_diffusion --preset=toy --workdir=runs/moons
  python -m experiments.train_diffusion --data=folder:/my/images \
      --image_size=32 --workdir=runs/mine

The same command again goes on where the run was stopped.
"""

import os
from typing import Any

from absl import flags
import jax
import numpy as np

from experiments import common
from experiments import diffusion_run
from experiments import flag_numbers
from experiments import training_run
from genjax import viz
from genjax.checks import check
from genjax.data import pipeline
from genjax.training.logs import read_metrics
from genjax.types import Context
from genjax.types import Source

# One dict a preset: the flags it sets, then what has no flag.
_IMAGES = dict(
    network='unet', process='edm', prediction='edm', batch_size=64,
    learning_rate=5e-3, label_dropout=0.1, ema_decay=0.998, b2=0.99,
    warmup=100, dropout=0.0, times_mean=-0.9, times_std=1.2, sigma_min=0.01,
    sigma_max=20.0, sampling_steps=18, sampler='heun', guidance=1.0,
    guidance_log_snr=[-4.0, 4.0], head_dim=8, groups=8, attention_levels=[1],
    patch_size=2, log_every=100, save_every=1000)

PRESETS = {
    # 8x8 digits on a laptop CPU, in minutes; small images in general.
    'digits': dict(
        _IMAGES, data='digits', width=[24, 32], depth=1, attention_levels=[],
        batch_size=32, steps=6000, sampler='dpm_solver_2m', guidance=1.15),
    # 2-D points, in under a minute.
    'toy': dict(
        _IMAGES, data='toy:moons', network='mlp', width=[128], depth=3,
        steps=2000, batch_size=256, learning_rate=2e-3, times_mean=-1.0,
        times_std=1.6, sigma_min=0.002, sigma_max=20.0, sampling_steps=32,
        save_every=1000),
    # DDPM's U-Net by EDM's recipe (arXiv:2206.00364, table 7); for a GPU or
    # TPU. Its published FID, by the authors' own network, is 1.79.
    'cifar10': dict(
        _IMAGES, data='tfds:cifar10', width=[128, 256, 256, 256], depth=2,
        head_dim=64, groups=32, dropout=0.13, steps=400_000, batch_size=512,
        learning_rate=1e-3, ema_decay=0.9999, b2=0.999, warmup=10_000,
        times_mean=-1.2, sigma_min=0.002, sigma_max=80.0, log_every=500,
        save_every=10_000),
}

# Where a flag names a network other than the preset's.
_WIDTHS = {'unet': [24, 32], 'dit': [64], 'mlp': [128]}

_FLAGS = ('data', 'image_size', 'held_out', 'batch_size', 'steps',
          'learning_rate', 'parallel', 'log_every', 'save_every', 'seed',
          'network', 'process', 'prediction', 'width', 'conditional',
          'horizontal_flip')


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where the run is kept; again to go on with it')
  common.define_training_flags()
  flags.DEFINE_enum('preset', 'digits', list(PRESETS), 'recipe; other flags '
                    'override it')
  flags.DEFINE_enum('network', None, list(diffusion_run.NETWORKS), 'network')
  flags.DEFINE_list('width', None, 'channels of each U-Net level (16,32), or '
                    'the width of a dit or mlp')
  flags.DEFINE_enum('process', None, list(diffusion_run.PROCESSES), 'noise')
  flags.DEFINE_enum('prediction', None, list(diffusion_run.PREDICTIONS),
                    'what the network predicts')
  flags.DEFINE_bool('conditional', True, 'use class labels where there are')
  flags.DEFINE_bool('horizontal_flip', False, 'mirror images at random')


def settings_from_flags() -> tuple[dict[str, Any], common.Data]:
  """The run's settings: the preset, the flags over it, and the data's facts."""
  values = {name: flags.FLAGS[name].value for name in _FLAGS}
  return resolve(flags.FLAGS.preset, values)


def resolve(
    preset: str, values: dict[str, Any]
) -> tuple[dict[str, Any], common.Data]:
  """Settings (JSON values) and data of `preset` with `values` over it."""
  chosen = {k: v for k, v in values.items() if v is not None}
  settings = {'seed': 0, 'image_size': None, 'held_out': 0.0,
              'parallel': 'jit', 'conditional': True, 'horizontal_flip': False,
              'preset': preset, **PRESETS[preset], **chosen}
  if 'width' not in chosen and (
      settings['network'] != PRESETS[preset]['network']):
    settings['width'] = _WIDTHS[settings['network']]
  width = flag_numbers.counts('width', settings['width'], '16,32')
  network = settings['network']
  check(network == 'unet' or len(width) == 1, '--width',
        f'must be one number for a {network}', width)
  settings['width'] = width
  parts = {'unet': settings['groups'], 'dit': settings['head_dim'], 'mlp': 2}
  check(all(w % parts[network] == 0 for w in width), '--width',
        f'must be multiples of {parts[network]} for a {network}', width)
  settings['attention_levels'] = [
      i for i in settings['attention_levels'] if i < len(width)]

  data = common.open_data(
      settings['data'], image_size=settings['image_size'],
      held_out=settings['held_out'], seed=settings['seed'])
  description = data.description
  check(len(description.shape) == 3 or not settings['horizontal_flip'],
        '--horizontal_flip', 'needs images',
        f'data of shape {description.shape}')
  settings['num_examples'] = description.size  # a folder's may change
  settings['shape'] = list(description.shape)
  settings['num_classes'] = (
      description.num_classes if settings['conditional'] else None)
  if settings['num_classes'] is None:
    settings['guidance'] = 1.0  # a preset's needs classes
  settings['class_names'] = list(description.class_names)
  settings['data_std'] = common.data_std(data.train)
  check(settings['data_std'] > 0, '--data',
        'must vary: its standard deviation must be positive', 0)
  return settings, data


def train(settings: dict[str, Any], data: common.Data, workdir: str) -> bool:
  """Trains to the last step; returns whether it got there.

  Writes checkpoints, metrics.jsonl, TensorBoard events and figures to
  `workdir`, and goes on from what is there.

  Raises:
    ValueError: settings that do not fit each other, the data or the workdir.
  """
  model = diffusion_run.build_model(settings)
  state = diffusion_run.init_run(model)
  finished = training_run.train(
      settings, data.train, workdir, state=state,
      tx=diffusion_run.optimizer(settings),
      loss_fn=diffusion_run.make_loss(model, train=True),
      make_hooks=lambda writer: _hooks(model, data, writer, workdir))
  records = read_metrics(os.path.join(workdir, 'metrics.jsonl'))
  if any('loss' in r for r in records):
    viz.save_training_curves(
        os.path.join(workdir, 'figures', 'training.png'), records)
  return finished


def _hooks(model, data, writer, workdir):
  """Sample grids and the held-out loss, at every checkpoint."""
  hooks = [_sample_hook(model, writer, workdir)]
  if data.held_out is not None:
    hooks.append(held_out_hook(model, data.held_out))
  return hooks


def _sample_hook(model, writer, workdir):
  settings = model.settings
  flat = len(settings['shape']) == 1
  num_samples = 2000 if flat else 100
  generator = diffusion_run.default_generator(model, num_samples)

  def hook(state, step):
    label = diffusion_run.cycle_labels(model, num_samples)
    x = diffusion_run.generate(
        generator, state.ema, common.root_key(settings['seed'], 'grid'),
        num_samples, label, settings['guidance'])
    path = os.path.join(workdir, 'figures', f'samples_{step:07d}.png')
    if flat:
      limit = float(np.abs(x).max()) if settings['shape'] != [2] else 2.5
      viz.save_points(path, x[:, :2], limit)
    else:
      images = pipeline.to_uint8(x)
      viz.save_grid(path, images, 10)
      writer.image(step, 'samples', viz.tile(images, 10))

  return hook


def held_out_hook(model: diffusion_run.Model, source: Source):
  """The loss on `source`, by noise level too, of the averaged weights."""
  loss_fn = jax.jit(diffusion_run.make_loss(model, train=False))
  settings = model.settings
  size = min(len(source), 4 * settings['batch_size'])

  def hook(state, step):
    totals = {}
    # One key for every step: the curve then shows the model, not the noise.
    key = common.root_key(settings['seed'], 'held_out')
    for number, batch in enumerate(pipeline.eval_batches(source, size)):
      _, bins = loss_fn(state.ema, jax.random.fold_in(key, number), batch,
                        Context(state.step, {}, {}))
      for name, mean in jax.device_get(bins).items():
        total, count = totals.get(name, (0.0, 0.0))
        # In float64: in float32 a count stops at 2^24.
        totals[name] = total + float(mean.total), count + float(mean.count)
    totals['loss'] = np.sum(list(totals.values()), axis=0)
    return {f'held_out/{name}': total / count
            for name, (total, count) in totals.items() if count}

  return hook


def main() -> None:
  settings, data = settings_from_flags()
  workdir = flags.FLAGS.workdir
  finished = train(settings, data, workdir)
  print(f'{"finished" if finished else "stopped: the same command goes on"}: '
        f'{workdir} holds checkpoints, metrics.jsonl, tensorboard, figures')
  if not finished:
    raise SystemExit(130)


if __name__ == '__main__':
  define_flags()
  common.run(main)
