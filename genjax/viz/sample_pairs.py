"""Strips of pictures that belong together, and curves below them."""

from typing import Mapping, Sequence

import numpy as np

from genjax.viz import figures
from genjax.viz import images as pictures
from genjax.viz import panels

_WIDTH = 10.0  # of the figure, inches


def save_sample_pairs(
    path: str, strips: Mapping[str, np.ndarray], names: Sequence[str],
    panel: panels.Panel, ticks: Sequence[int]
) -> None:
  """Writes strips of pictures, one above the other, over a panel, as a PNG.

  Args:
    path: of the PNG.
    strips: title -> uint8 [R, P, H, W, C]; what is in one column belongs
      together.
    names: of the R rows, the same in each strip.
    panel: what is drawn below.
    ticks: the numbers that stand below it.
  """
  rows, columns, height, width = next(iter(strips.values())).shape[:4]
  strip = (_WIDTH - 1.6) / columns * rows * height / width + 0.35
  heights = [strip] * len(strips) + [3.6]
  figure = figures.new(_WIDTH, sum(heights))
  *parts, below = figure.subfigures(len(heights), 1, squeeze=False,
                                    height_ratios=heights)[:, 0]
  for part, (title, images) in zip(parts, strips.items()):
    axis = part.subplots()
    zoom = pictures.zoom_in_figure(images[0], columns)
    picture = pictures.tile(images.reshape(-1, *images.shape[2:]), columns,
                            gap=max(2, zoom), zoom=zoom)
    axis.imshow(picture, interpolation='nearest')
    axis.set_title(title, loc='left', fontsize=10)
    axis.set_yticks((np.arange(rows) + 0.5) * picture.shape[0] / rows, names,
                    fontsize=8)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
  axis = below.subplots()
  panels.draw_panel(axis, panel)
  axis.minorticks_off()
  axis.set_xticks(ticks, [str(tick) for tick in ticks])
  figures.save(path, figure)
