"""Pictures made of images: grids, filmstrips, animations. uint8 NHWC."""

from typing import Mapping, Sequence

import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.checks import check_rank
from genjax.files import write_whole
from genjax.viz import figures


def rgb(images: np.ndarray) -> np.ndarray:
  """Images uint8 [N, H, W, 1, 3 or 4] as RGB; opacity is laid over white.

  Raises:
    ValueError: they are no such images.
  """
  check_rank('rgb', 'images', images, 4)
  check(images.shape[-1] in (1, 3, 4), 'rgb',
        'images must have 1, 3 or 4 channels', f'shape {images.shape}')
  check(images.dtype == np.uint8, 'rgb', 'images must be uint8', images.dtype)
  if images.shape[-1] == 4:
    opacity = images[..., 3:] / np.float32(255)
    return np.round(255 - opacity * (255 - images[..., :3].astype(np.float32))
                    ).astype(np.uint8)
  return np.broadcast_to(images, (*images.shape[:-1], 3))


def tile(
    images: np.ndarray, columns: int, *, gap: int = 1, zoom: int = 1
) -> np.ndarray:
  """Tiles images [N, H, W, C] row by row into one uint8 [H', W', 3].

  Args:
    images: uint8 [N, H, W, 1, 3 or 4], see `rgb`.
    columns: images a row; the last row is filled with white.
    gap: white pixels between images, after zooming.
    zoom: every pixel becomes zoom x zoom pixels, with no smoothing.
  """
  images = rgb(images).repeat(zoom, 1).repeat(zoom, 2)
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


def zoom_in_figure(images: np.ndarray, columns: int) -> int:
  """The zoom for a row that fills a figure eight inches wide, dot for dot."""
  return zoom_for(images, columns, 8 * figures.DOTS)


def save_grid(path: str, images: np.ndarray, columns: int) -> None:
  """Writes images [N, H, W, C] as one PNG, `columns` a row."""
  # Wide enough that neighbours are not read as one picture.
  grid = tile(images, columns, gap=6, zoom=zoom_for(images, columns))
  write_whole(path, lambda p: Image.fromarray(grid).save(p))


def save_gif(
    path: str, frames: Sequence[np.ndarray], *, milliseconds: int = 80,
    hold: int = 1200
) -> None:
  """Writes frames uint8 [H, W, 3] as an endless GIF; the last is held."""
  images = [Image.fromarray(f).quantize(64, dither=Image.Dither.NONE)
            for f in frames]
  times = [milliseconds] * (len(images) - 1) + [hold]
  write_whole(path, lambda p: images[0].save(
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
  figure = figures.new(8.4, len(strips) * (row + 0.65) + 0.05)
  axes = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
  for axis, (title, (images, captions)) in zip(axes, strips.items()):
    by_row = images.transpose(1, 0, 2, 3, 4).reshape(-1, *images.shape[2:])
    zoom = zoom_in_figure(images[0], steps)
    picture = tile(by_row, steps, gap=max(1, zoom // 2), zoom=zoom)
    axis.imshow(picture, interpolation='nearest')
    axis.set_title(title, loc='left', fontsize=10)
    centres = (np.arange(steps) + 0.5) * picture.shape[1] / steps
    axis.set_xticks(centres, captions, fontsize=8)
    axis.set_yticks([])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
  figures.save(path, figure)
