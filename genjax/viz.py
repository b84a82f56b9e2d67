"""Figures: image grids, filmstrips, point clouds, training curves, animations.

Every function writes one file, whole or not at all. Images are uint8 NHWC.
"""

import collections
import os
from typing import Callable, Mapping, NamedTuple, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
import matplotlib.figure
import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.checks import check_rank

_BLUE, _ORANGE, _GREY = '#2166ac', '#d6604d', '#666666'


def _write(path: str, write: Callable[[str], None]) -> None:
  """Writes beside `path` and renames, so that no half figure is ever seen."""
  stem, ending = os.path.splitext(path)
  partial = f'{stem}.partial{ending}'
  try:
    write(partial)
    os.replace(partial, path)
  except BaseException:  # an interrupt too
    if os.path.exists(partial):
      os.remove(partial)
    raise


def _save_figure(path: str, figure: matplotlib.figure.Figure) -> None:
  _write(path, lambda p: figure.savefig(p, dpi=150, facecolor='white'))


def _rgb(images: np.ndarray) -> np.ndarray:
  return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def tile(
    images: np.ndarray, columns: int, *, gap: int = 1, zoom: int = 1
) -> np.ndarray:
  """Tiles images [N, H, W, C] row by row into one uint8 [H', W', 3].

  Args:
    images: uint8 [N, H, W, 1 or 3].
    columns: images a row; the last row is filled with white.
    gap: white pixels between images, after zooming.
    zoom: every pixel becomes zoom x zoom pixels, with no smoothing.
  """
  check_rank('tile', 'images', images, 4)
  check(images.shape[-1] in (1, 3), 'tile',
        'images must have 1 or 3 channels', f'shape {images.shape}')
  images = _rgb(images).repeat(zoom, 1).repeat(zoom, 2)
  missing = -len(images) % columns
  images = np.pad(images, [(0, missing), (0, gap), (0, gap), (0, 0)],
                  constant_values=255)
  images[len(images) - missing:] = 255
  rows, (height, width) = len(images) // columns, images.shape[1:3]
  grid = images.reshape(rows, columns, height, width, 3)
  grid = grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, -1, 3)
  return np.pad(grid, [(gap, 0), (gap, 0), (0, 0)], constant_values=255)


def zoom_for(images: np.ndarray, columns: int, width: int = 800) -> int:
  """The zoom that makes a row of `columns` images about `width` pixels."""
  return max(1, width // (columns * images.shape[2]))


def save_grid(path: str, images: np.ndarray, columns: int) -> None:
  """Writes images [N, H, W, C] as one PNG, `columns` a row."""
  grid = tile(images, columns, gap=2, zoom=zoom_for(images, columns))
  _write(path, lambda p: Image.fromarray(grid).save(p))


def save_gif(
    path: str, frames: Sequence[np.ndarray], *, milliseconds: int = 80,
    hold: int = 1200
) -> None:
  """Writes frames uint8 [H, W, 3] as an endless GIF; the last is held."""
  images = [Image.fromarray(f).quantize(64, dither=Image.Dither.NONE)
            for f in frames]
  times = [milliseconds] * (len(images) - 1) + [hold]
  _write(path, lambda p: images[0].save(
      p, save_all=True, append_images=images[1:], duration=times, loop=0))


def save_filmstrips(
    path: str, strips: Mapping[str, tuple[np.ndarray, Sequence[str]]]
) -> None:
  """Writes strips of images over time, one above the other, with captions.

  Args:
    path: of the PNG.
    strips: title -> (images uint8 [T, N, H, W, C], captions [T]); time runs to
      the right, each of the N images in a row.
  """
  shapes = [images.shape for images, _ in strips.values()]
  steps, num, height, width = shapes[0][:4]
  inch = 8.0 / steps
  row = inch * num * height / width
  figure = matplotlib.figure.Figure(
      (8.4, len(strips) * (row + 0.65) + 0.05), layout='constrained')
  axes = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
  for axis, (title, (images, captions)) in zip(axes, strips.items()):
    by_row = images.transpose(1, 0, 2, 3, 4).reshape(-1, *images.shape[2:])
    zoom = zoom_for(images[0], steps, 1200)
    picture = tile(by_row, steps, gap=max(1, zoom // 2), zoom=zoom)
    axis.imshow(picture, interpolation='nearest')
    axis.set_title(title, loc='left', fontsize=10)
    centres = (np.arange(steps) + 0.5) * picture.shape[1] / steps
    axis.set_xticks(centres, captions, fontsize=8)
    axis.set_yticks([])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
  _save_figure(path, figure)


class PointPanel(NamedTuple):
  """Points at one time of a strip."""

  points: np.ndarray  # [N, 2]
  caption: str
  limit: float  # half-width of the panel, data units
  # Exact log-density, points [M, 2] -> nats [M], drawn as contours if known.
  log_density: Callable[[np.ndarray], np.ndarray] | None = None


def save_point_strips(
    path: str, strips: Mapping[str, Sequence[PointPanel]]
) -> None:
  """Writes strips of 2-D point clouds over time, one above the other.

  Args:
    path: of the PNG.
    strips: title -> panels [T], time running to the right.
  """
  steps = len(next(iter(strips.values())))
  figure = matplotlib.figure.Figure(
      (1.4 * steps, 2.0 * len(strips)), layout='constrained')
  rows = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
  for row, (title, panels) in zip(rows, strips.items()):
    row.suptitle(title, x=0.005, ha='left', fontsize=11)
    for axis, panel in zip(row.subplots(1, steps, squeeze=False)[0], panels):
      _draw_points(axis, panel.points, panel.limit, panel.log_density)
      axis.set_xlabel(panel.caption, fontsize=9)
  _save_figure(path, figure)


def _draw_points(axis, points, limit, log_density):
  if log_density is not None:
    line = np.linspace(-limit, limit, 80)
    mesh = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    density = np.exp(np.asarray(log_density(mesh))).reshape(80, 80)
    levels = density.max() * np.array([0.02, 0.1, 0.3, 0.6, 0.9])
    axis.contour(line, line, density, levels, colors=_ORANGE, linewidths=0.8)
  axis.plot(points[:, 0], points[:, 1], ',', color=_BLUE, alpha=0.6)
  axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal',
           xticks=[], yticks=[])


def save_points(path: str, points: np.ndarray, limit: float) -> None:
  """Writes 2-D points [N, 2] within [-limit, limit]^2 as a PNG."""
  figure = matplotlib.figure.Figure((4, 4), layout='constrained')
  _draw_points(figure.subplots(), points, limit, None)
  _save_figure(path, figure)


def point_frame(
    points: np.ndarray, limit: float, caption: str, *, size: int = 400
) -> np.ndarray:
  """One frame of an animation of 2-D points [N, 2]: uint8 [size, size, 3]."""
  figure = matplotlib.figure.Figure((size / 100, size / 100), dpi=100,
                                    facecolor='white', layout='constrained')
  axis = figure.subplots()
  _draw_points(axis, points, limit, None)
  axis.set_title(caption, fontsize=9)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_training_curves(
    path: str, records: Sequence[Mapping[str, float]]
) -> None:
  """Writes loss, loss by log-SNR and gradient norm over the training steps.

  Args:
    path: of the PNG.
    records: the lines of metrics.jsonl, each with `step`, and where it has
      them `loss`, `held_out/loss`, `loss_by_log_snr/<low>_to_<high>` and
      `grad_norm`.
  """
  check(len(records) > 0, 'save_training_curves', 'records must not be empty',
        '[]')
  counts = collections.Counter(
      name for r in records for name, value in r.items()
      if name.startswith('loss_by_log_snr/') and value is not None)
  # A noise level so rare that most intervals miss it is a few examples' noise.
  bins = sorted((name for name, count in counts.items()
                 if count > len(records) / 2),
                key=lambda name: float(name.split('/')[1].split('_to_')[0]))
  figure = matplotlib.figure.Figure((10.5, 3.2), layout='constrained')
  left, middle, right = figure.subplots(1, 3)

  def plot(axis, name, **style):
    points = [(r['step'], r[name]) for r in records
              if r.get(name) is not None]
    if points:
      axis.plot(*np.transpose(points), **style)

  plot(left, 'loss', color=_BLUE, lw=1, label='training')
  plot(left, 'held_out/loss', color=_ORANGE, lw=1, marker='.',
       label='held-out, EMA weights')
  # From most noise to least.
  shades = matplotlib.colormaps['viridis'](np.linspace(0, 0.9, len(bins)))
  for name, shade in zip(bins, shades):
    low, high = name.split('/')[1].split('_to_')
    span = (f'below {high}' if low == '-inf' else
            f'above {low}' if high == 'inf' else f'{low} to {high}')
    plot(middle, name, color=shade, lw=1, label=span)
  plot(right, 'grad_norm', color=_GREY, lw=1)
  for axis, title in ((left, 'Weighted loss'), (middle, 'Loss by log-SNR'),
                      (right, 'Gradient norm before clipping')):
    axis.set(title=title, xlabel='step', ylim=(0, None))
    axis.title.set_size(10)
    axis.grid(True, which='major', alpha=0.25)
    if axis.get_legend_handles_labels()[0]:
      axis.legend(fontsize=7)
  _save_figure(path, figure)
