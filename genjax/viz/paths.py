"""Paths between two images: strips, measures along them, styles and classes."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures
from genjax.viz import images as pictures

_COLORS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.GREY)


class Curve(NamedTuple):
  """One quantity along every path."""

  title: str
  values: Mapping[str, np.ndarray]  # name of a path -> [T]
  real: float | None  # the mean of real images


def save_paths(
    path: str, strips: Mapping[str, np.ndarray], shares: np.ndarray,
    curves: Sequence[Curve]
) -> None:
  """Writes images along each path, one row a path, over curves along them.

  Args:
    path: of the PNG.
    strips: name -> uint8 [S, H, W, C].
    shares: [S] of the way, in [0, 1].
    curves: one panel each.
  """
  steps = len(shares)
  height, width = next(iter(strips.values())).shape[1:3]
  heights = (8.6 / steps * len(strips) * height / width + 0.45, 2.6)
  figure = figures.new(10, sum(heights))
  top, bottom = figure.subfigures(
      2, 1, squeeze=False, height_ratios=heights)[:, 0]
  _table(top.subplots(), np.stack(list(strips.values())), list(strips),
         [f'{share:.2g}' for share in shares])
  for axis, curve in zip(bottom.subplots(1, len(curves), squeeze=False)[0],
                         curves):
    if curve.real is not None:
      axis.axhline(curve.real, color='black', lw=1, ls='--',
                   label='held-out images, mean')
    for (name, values), color in zip(curve.values.items(), _COLORS):
      axis.plot(np.linspace(0, 1, len(values)), values, color=color, lw=1.5,
                marker='.', ms=4, label=name)
    axis.set_title(curve.title, fontsize=9)
    axis.set_xlabel('share of the way', fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(True, alpha=0.25)
  handles, labels = axis.get_legend_handles_labels()
  bottom.legend(handles, labels, fontsize=8, loc='outside lower center',
                ncols=len(labels), frameon=False)
  figures.save(path, figure)


def path_frame(images: np.ndarray, names: Sequence[str]) -> np.ndarray:
  """One image of every path, [P, H, W, C], under their names: a frame."""
  figure = figures.new(1.5 * len(names), 1.5 * images.shape[1]
                       / images.shape[2] + 0.3)
  _table(figure.subplots(), images[None], [''], names)
  return figures.pixels(figure)


def save_styles(
    path: str, styles: np.ndarray, originals: np.ndarray,
    rows: Sequence[str], classes: Sequence[str]
) -> None:
  """Writes images in every class, and the first two in each other's style.

  Args:
    path: of the PNG.
    styles: uint8 [R, K, H, W, C].
    originals: uint8 [R, H, W, C].
    rows: classes [R] of the originals.
    classes: names [K].
  """
  num, columns, height, width = styles.shape[:4]
  inch = 8.5 / (columns + 2)
  row = inch * height / width
  heights = (num * row + 0.8, 2.8 * row + 0.8)
  figure = figures.new(9.6, sum(heights))
  top, bottom = figure.subfigures(2, 1, squeeze=False,
                                  height_ratios=heights)[:, 0]
  left, right = top.subplots(1, 2, width_ratios=(1, columns))
  _table(left, originals[:, None], rows, ['image'])
  _table(right, styles, [''] * num, classes)
  right.set_title('the code of each image, decoded in every class', fontsize=10)
  axis = bottom.subplots()
  pair = list(rows[:2])
  _table(axis, styles[:2][:, [list(classes).index(name) for name in pair]],
         ['style of the first', 'style of the second'],
         [f'class {name}' for name in pair])
  axis.set_title('the class of one in the style of the other', fontsize=10)
  figures.save(path, figure)


def _table(axis, images, rows, columns):
  """Draws images [R, K, H, W, C] with names of rows and columns."""
  num, steps = images.shape[:2]
  flat = images.reshape(-1, *images.shape[2:])
  zoom = pictures.zoom_in_figure(flat, steps)
  picture = pictures.tile(flat, steps, gap=max(1, zoom // 3), zoom=zoom)
  axis.imshow(picture, interpolation='nearest')
  axis.set_xticks((np.arange(steps) + 0.5) * picture.shape[1] / steps, columns,
                  fontsize=9)
  axis.set_yticks((np.arange(num) + 0.5) * picture.shape[0] / num, rows,
                  fontsize=9)
  axis.xaxis.tick_top()
  axis.tick_params(length=0)
  axis.spines[:].set_visible(False)
