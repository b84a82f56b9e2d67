"""Forward and reverse process of a diffusion run, drawn and measured."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax import viz
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.data import toy
from genjax.diffusion import exact
from genjax.diffusion import process
from genjax.metrics import kernel
from genjax.reports.draws import told
from genjax.reports.pictures import pictures
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.diffusion import Parts
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.task import Run
from genjax.types import Array
from genjax.types import Params
from genjax.types import Process

POINTS = 8000  # of each process

_COLUMNS = 9
_ROWS = 4  # of the filmstrip; the animation shows the square


def draw_images(
    parts: Parts, params: Params, x0: np.ndarray, label: np.ndarray | None,
    seed: int, folder: str
) -> list[str]:
  """Writes strip and animation of images or signals x0 [N, ...] in [-1, 1].

  Args:
    parts: of a diffusion run.
    params: of it.
    x0: the data that turn to noise.
    label: int [N] of the images that are drawn; None without classes.
    seed: of the noise.
    folder: where forward_reverse.png and .gif are written.

  Returns:
    Their paths.
  """
  (proc, times), num, shape = _path(parts, params), len(x0), x0.shape[1:]
  alpha, sigma = proc.alpha(times), proc.sigma(times)
  # At unit scale, so that pure noise has contrast too.
  unit = np.asarray(1 / jnp.sqrt(alpha**2 + sigma**2)).reshape(
      -1, *(1,) * x0.ndim)
  key_forward, key_reverse = jax.random.split(keys.key(seed, 'figure'))
  noising = process.diffuse(key_forward, proc, jnp.asarray(x0), times[::-1])
  forward = pictures(np.asarray(noising) * unit[::-1], shape)
  denoising = parts.draw.trajectory(
      params, key_reverse, jnp.arange(num), told(label))
  reverse = pictures(np.asarray(denoising) * unit, shape)

  chosen = _chosen(times)
  captions = [f'{float(sigma[i] / alpha[i]):.2g}' for i in chosen]
  rows = np.linspace(0, num - 1, _ROWS).astype(int)  # a folder is by class
  strip, movie = _paths(folder)
  viz.save_filmstrips(strip, {
      'Forward process: data to noise (noise / signal below)':
          (forward[np.ix_(chosen, rows)], captions[::-1]),
      'Reverse process: noise to data':
          (reverse[np.ix_(chosen, rows)], captions)})
  columns = int(np.sqrt(num))
  zoom = viz.zoom_for(forward[0], columns, 400)
  viz.save_gif(movie, [viz.tile(images, columns, zoom=zoom)
                       for images in [*forward, *reverse]])
  return [strip, movie]


def draw_points(
    parts: Parts, params: Params, spec: str, classes: bool, seed: int,
    folder: str
) -> tuple[list[str], Table]:
  """Writes strip, animation and distances of a toy set of points.

  Args:
    parts: of a diffusion run on it.
    params: of the run.
    spec: of the set, see `named.parse_toy`.
    classes: whether the model is told them.
    seed: of everything drawn.
    folder: where forward_reverse.png and .gif are written.

  Returns:
    Their paths; and by noise level the energy distance of as many samples as
    there are exact draws of the marginal to these, and that of other draws.
  """
  proc, times = _path(parts, params)
  name, _, options = named.parse_toy(spec, toy.SETS, POINTS)
  key = jax.random.split(keys.key(seed, 'figure'), 4)
  # Two fresh draws: one to compare with, one for the floor of the comparison.
  draws = [toy.SETS[name](k, POINTS, **options) for k in key[:2]]
  forward, other = (
      np.asarray(process.diffuse(key[2], proc, draw['x'], times[::-1],
                                 index=jnp.arange(POINTS) + i * POINTS))[::-1]
      for i, draw in enumerate(draws))
  # Not the labels of the draw compared with: samples would be too close.
  label = draws[1]['label'] if classes else None
  reverse = np.asarray(parts.draw.trajectory(
      params, key[3], jnp.arange(POINTS), told(label)))

  chosen = _chosen(times)
  alpha, sigma = np.asarray(proc.alpha(times)), np.asarray(proc.sigma(times))
  limits, ratios = 2.2 * alpha + 2.5 * sigma, sigma / alpha
  densities = _densities(proc, '' if options else name, times)
  strip, movie = _paths(folder)
  title = '; contours: exact density' if densities[0] else ''

  def panels(points, order):
    return [viz.PointPanel(points[i], f'{ratios[i]:.2g}', limits[i],
                           densities[i]) for i in order]

  def frames(which, points, order):
    return [viz.point_frame(points[i], limits[i], f'{which} process, noise / '
                            f'signal {ratios[i]:.3g}') for i in order]

  viz.save_point_strips(strip, {
      f'Forward process: data to noise (noise / signal below{title})':
          panels(forward, chosen[::-1]),
      'Reverse process: noise to data': panels(reverse, chosen)})
  every = range(len(times))
  viz.save_gif(movie, [*frames('forward', forward, every[::-1]),
                       *frames('reverse', reverse, every)])
  table = make_table(
      [Column('noise_to_signal', 'noise/signal', '.4g'),
       Column('energy_distance', 'samples'), 'floor'],
      [(float(ratios[i]), *(kernel.energy_distance(x[i], forward[i])
                            for x in (reverse, other))) for i in chosen])
  return [strip, movie], table


def _path(parts: Parts, params: Params) -> tuple[Process, Array]:
  """The process and the times of its grid, of the params."""
  return parts.diffusion.process_of(params), parts.draw.times(params)


def _chosen(times: Array) -> np.ndarray:
  """Positions of the times that a strip shows."""
  return np.linspace(0, len(times) - 1, _COLUMNS).round().astype(int)


def _paths(folder: str) -> list[str]:
  return [os.path.join(folder, f'forward_reverse.{ending}')
          for ending in ('png', 'gif')]


def _densities(proc: Process, name: str, times: Array) -> list[Any]:
  """Exact log-density of the marginal at each time, where it is known."""
  if name != 'eight_gaussians':
    return [None] * len(times)
  weights, means, scale = toy.eight_gaussians_mixture()
  truth = exact.gaussian_mixture(
      proc, jnp.log(weights), jnp.asarray(means), scale**2 * jnp.eye(2))
  log_prob = jax.jit(truth.log_prob)
  return [lambda x, t=t: log_prob(x, t) for t in times]


def example_images(
    run: Run, data: named.Data, num: int
) -> tuple[np.ndarray, np.ndarray | None]:
  """Some [N, ...] of the run's data, and their labels if it uses them."""
  source = data.train
  indices = np.linspace(0, len(source) - 1, num).astype(int)
  batch = pipeline.full_batch(sources.subset(source, indices))
  return batch['x'], (None if num_classes(run.settings) is None
                      else batch['cond']['label'])
