"""Draws the forward and the reverse process of a trained diffusion model.

  python -m experiments.forward_reverse --workdir=runs/digits

Data turn to noise step by step, and noise to data: a filmstrip,
figures/forward_reverse.png, and an animation, figures/forward_reverse.gif.
For 2-D points also the distance of the samples to the exact marginal at each
time, with its floor, in figures/forward_reverse.json; where the data are a
known mixture, its exact density is drawn over them.
"""

import os
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import app
from experiments import common
from experiments import diffusion_run
from genjax import viz
from genjax.data import pipeline
from genjax.data import sources
from genjax.data import toy
from genjax.diffusion import exact
from genjax.diffusion import process
from genjax.metrics import kernel
from genjax.types import Params

_COLUMNS = 9
_ROWS = 4  # of the filmstrip; the animation shows the square
_POINTS = 8000


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('folder of the trained run')
  diffusion_run.define_sampling_flags()


def draw_images(
    generator: diffusion_run.Generator, params: Params, x0: np.ndarray,
    label: np.ndarray | None, scale: float, seed: int, folder: str
) -> list[str]:
  """Writes strip and animation of images x0 [N, H, W, C] in [-1, 1]."""
  proc, num = generator.model.process, len(x0)
  times = generator.times
  alpha, sigma = proc.alpha(times), proc.sigma(times)
  # At unit scale, so that pure noise has contrast too.
  unit = np.asarray(1 / jnp.sqrt(alpha**2 + sigma**2)).reshape(-1, 1, 1, 1, 1)
  key_forward, key_reverse = jax.random.split(
      common.root_key(seed, 'figure'))
  noising = process.diffuse(key_forward, proc, jnp.asarray(x0), times[::-1])
  forward = pipeline.to_uint8(np.asarray(noising) * unit[::-1])
  labels = None if label is None else jnp.asarray(label, jnp.int32)
  denoising = generator.trajectory(
      params, key_reverse, jnp.arange(num), labels, scale)
  reverse = pipeline.to_uint8(np.asarray(denoising) * unit)

  chosen = np.linspace(0, len(times) - 1, _COLUMNS).round().astype(int)
  captions = [f'{float(sigma[i] / alpha[i]):.2g}' for i in chosen]
  rows = np.linspace(0, num - 1, _ROWS).astype(int)  # a folder is by class
  strip = os.path.join(folder, 'forward_reverse.png')
  viz.save_filmstrips(strip, {
      'Forward process: data to noise (noise / signal below)':
          (forward[np.ix_(chosen, rows)], captions[::-1]),
      'Reverse process: noise to data':
          (reverse[np.ix_(chosen, rows)], captions)})
  columns = int(np.sqrt(num))
  zoom = viz.zoom_for(x0, columns, 400)
  movie = os.path.join(folder, 'forward_reverse.gif')
  viz.save_gif(movie, [viz.tile(images, columns, zoom=zoom)
                       for images in [*forward, *reverse]])
  return [strip, movie]


def draw_points(
    generator: diffusion_run.Generator, params: Params, name: str,
    scale: float, seed: int, folder: str
) -> list[str]:
  """Writes strip, animation and distances of the 2-D set `name`."""
  model, times = generator.model, generator.times
  proc = model.process
  keys = jax.random.split(common.root_key(seed, 'figure'), 4)
  # Two fresh draws: one to compare with, one for the floor of the comparison.
  draws = [toy.SETS[name](key, _POINTS) for key in keys[:2]]
  forward, other = (
      np.asarray(process.diffuse(keys[2], proc, draw['x'], times[::-1],
                                 index=jnp.arange(_POINTS) + i * _POINTS))
      for i, draw in enumerate(draws))
  # Not the labels of the draw compared with: samples would be too close.
  label = draws[1]['label'] if model.settings['num_classes'] else None
  reverse = np.asarray(generator.trajectory(
      params, keys[3], jnp.arange(_POINTS), label, scale))

  chosen = np.linspace(0, len(times) - 1, _COLUMNS).round().astype(int)
  alpha, sigma = np.asarray(proc.alpha(times)), np.asarray(proc.sigma(times))
  limits = 2.2 * alpha + 2.5 * sigma
  densities = _densities(proc, name, times)
  strip = os.path.join(folder, 'forward_reverse.png')
  title = '; contours: exact density' if densities[0] else ''

  def panels(points, order):
    return [viz.PointPanel(points[i], f'{sigma[i] / alpha[i]:.2g}', limits[i],
                           densities[i]) for i in order]

  viz.save_point_strips(strip, {
      f'Forward process: data to noise (noise / signal below{title})':
          panels(forward[::-1], chosen[::-1]),
      'Reverse process: noise to data': panels(reverse, chosen)})
  movie = os.path.join(folder, 'forward_reverse.gif')
  frames = [viz.point_frame(forward[-1 - i], limits[i], _caption('forward', r))
            for i, r in reversed(list(enumerate(sigma / alpha)))]
  frames += [viz.point_frame(reverse[i], limits[i], _caption('reverse', r))
             for i, r in enumerate(sigma / alpha)]
  viz.save_gif(movie, frames)
  table = os.path.join(folder, 'forward_reverse.json')
  common.write_json(table, _distances(
      sigma / alpha, forward[::-1], other[::-1], reverse, chosen))
  return [strip, movie, table]


def _densities(proc, name, times) -> list[Any]:
  """Exact log-density of the marginal at each time, where it is known."""
  if name != 'eight_gaussians':
    return [None] * len(times)
  weights, means, scale = toy.eight_gaussians_mixture()
  truth = exact.gaussian_mixture(
      proc, jnp.log(weights), jnp.asarray(means), scale**2 * jnp.eye(2))
  log_prob = jax.jit(truth.log_prob)
  return [lambda x, t=t: log_prob(x, t) for t in times]


def _distances(ratios, fresh, other, samples, chosen) -> list[dict[str, float]]:
  """Energy distance of samples to the exact marginal, and its floor."""
  print(f'energy distance of {_POINTS} samples to {_POINTS} exact draws of the '
        'marginal (floor: exact to exact)')
  print(f'{"noise/signal":>12} {"samples":>10} {"floor":>10}')
  rows = []
  for i in chosen:
    row = {'noise_to_signal': float(ratios[i]),
           'energy_distance': kernel.energy_distance(samples[i], fresh[i]),
           'floor': kernel.energy_distance(other[i], fresh[i])}
    print(f'{row["noise_to_signal"]:12.4g} {row["energy_distance"]:10.3g} '
          f'{row["floor"]:10.3g}')
    rows.append(row)
  return rows


def _caption(which: str, ratio: float) -> str:
  return f'{which} process, noise / signal {ratio:.3g}'


def main() -> None:
  values = flags.FLAGS
  settings = common.read_settings(values.workdir)
  folder = os.path.join(values.workdir, 'figures')
  flat = len(settings['shape']) == 1
  generator, params, used = diffusion_run.generator_from_flags(
      values.workdir, batch_size=_POINTS if flat else 36)
  if flat:
    name = settings['data'].partition(':')[2]
    written = draw_points(generator, params, name, used['guidance'],
                          values.seed, folder)
  else:
    x0, label = example_images(settings, 36)
    written = draw_images(generator, params, x0, label, used['guidance'],
                          values.seed, folder)
  print('wrote ' + ', '.join(written))


def example_images(
    settings: dict[str, Any], num: int
) -> tuple[np.ndarray, np.ndarray | None]:
  """Images [N, H, W, C] of the run's data, and their labels if it uses them."""
  source = common.reopen_data(settings).train
  indices = np.linspace(0, len(source) - 1, num).astype(int)
  batch = pipeline.full_batch(sources.subset(source, indices))
  return batch['x'], batch['cond']['label'] if settings['num_classes'] else None


if __name__ == '__main__':
  define_flags()
  app.run(main)
