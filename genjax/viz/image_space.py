"""What lies near an image, and how far a change to it leads."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures
from genjax.viz import images as pictures


class Neighbours(NamedTuple):
  """The nearest images to each query under one distance."""

  title: str
  images: np.ndarray  # uint8 [Q, k, H, W, C], nearest first
  wrong: np.ndarray  # bool [Q, k]: of another class than the query


class Reaction(NamedTuple):
  """How far one distance says that each change leads."""

  name: str
  values: np.ndarray  # [R]
  ends: np.ndarray  # [2, R], of the intervals


def save_image_space(
    path: str, queries: np.ndarray, neighbours: Sequence[Neighbours],
    changes: Mapping[str, np.ndarray], rows: Sequence[str],
    reactions: Sequence[Reaction], unit: str
) -> None:
  """Writes neighbours by distance, changed images, and distances to them.

  Args:
    path: of the PNG.
    queries: uint8 [Q, H, W, C].
    neighbours: one group of columns each, wrong ones framed.
    changes: caption -> uint8 [H, W, C].
    rows: names [R] of what the reactions are to, from top to bottom.
    reactions: one for every distance.
    unit: of the values.

  Raises:
    ValueError: queries that are no images.
  """
  num, nearest = neighbours[0].wrong.shape
  heights = (0.46 * num + 0.7, 1.3, 3.2)
  figure = figures.new(10, sum(heights))
  top, middle, bottom = figure.subfigures(
      3, 1, squeeze=False, height_ratios=heights)[:, 0]
  top.suptitle('Test images with the most wrong neighbours, and the nearest '
               'training images; framed: another class', fontsize=10)
  axes = top.subplots(1, len(neighbours) + 1,
                      width_ratios=[1] + [nearest] * len(neighbours))
  _show(axes[0], _framed(queries, np.zeros(num, bool)), 1, 'query')
  for axis, group in zip(axes[1:], neighbours):
    flat = group.images.reshape(-1, *group.images.shape[2:])
    _show(axis, _framed(flat, group.wrong.ravel()), nearest, group.title)
  strip = middle.subplots(1, len(changes), squeeze=False)[0]
  for axis, (caption, image) in zip(strip, changes.items()):
    _show(axis, image[None], 1, caption)

  axis = bottom.subplots()
  places = np.arange(len(rows))
  colors = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.GREY)
  for number, (reaction, color) in enumerate(zip(reactions, colors)):
    at = places + 0.22 * (number - (len(reactions) - 1) / 2)
    axis.barh(at, reaction.values, 0.2, color=color, label=reaction.name)
    axis.hlines(at, *reaction.ends, color='black', lw=1)
  axis.axvline(1, color='black', lw=1, ls='--')
  axis.set_yticks(places, rows, fontsize=9)
  axis.invert_yaxis()
  axis.tick_params(axis='x', labelsize=8)
  axis.set_xlabel(unit, fontsize=9)
  axis.grid(True, axis='x', alpha=0.25)
  axis.set_axisbelow(True)
  axis.legend(fontsize=9, loc='center left', bbox_to_anchor=(1, 0.5),
              frameon=False)
  figures.save(path, figure)


def _framed(images: np.ndarray, marked: np.ndarray) -> np.ndarray:
  """RGB images [N, h, w, 3] with a frame, coloured where they are marked."""
  zoom = max(1, 48 // images.shape[2])
  images = pictures.rgb(images).repeat(zoom, 1).repeat(zoom, 2)
  border = 4
  framed = np.pad(images, [(0, 0), (border, border), (border, border), (0, 0)],
                  constant_values=255)
  color = [int(figures.ORANGE[i:i + 2], 16) for i in (1, 3, 5)]
  inner = np.s_[border:-border, border:-border]
  framed[marked] = color
  framed[(slice(None), *inner)] = images
  return framed


def _show(axis, images, columns, title):
  axis.imshow(pictures.tile(
      images, columns, gap=6, zoom=pictures.zoom_in_figure(images, columns)),
      interpolation='nearest')
  axis.set_title(title, fontsize=9)
  axis.set_axis_off()
