"""Samples beside the data they are like, and their scores beside the floor."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures
from genjax.viz import images as pictures

_COLUMNS = 5


class Scored(NamedTuple):
  """One metric of samples and of real data: (value, low, high), or None."""

  name: str
  samples: tuple[float, float, float] | None
  floor: tuple[float, float, float] | None


def save_evaluation(
    path: str, samples: np.ndarray, nearest: np.ndarray,
    scores: Sequence[Scored]
) -> None:
  """Writes samples over their nearest training images, and the scores.

  Args:
    path: of the PNG.
    samples: uint8 [N, H, W, C].
    nearest: uint8 [N, H, W, C].
    scores: one panel each, in reading order.
  """
  rows = -(-len(scores) // _COLUMNS)
  strip = min(20 / len(samples) * samples.shape[1] / samples.shape[2], 2.5)
  heights = (strip + 0.3, 1.9 * rows + 0.2)
  figure = figures.new(10, sum(heights))
  top, bottom = figure.subfigures(
      2, 1, squeeze=False, height_ratios=heights)[:, 0]
  axis = top.subplots()
  axis.imshow(pictures.tile(
      np.concatenate([samples, nearest]), len(samples), gap=2,
      zoom=pictures.zoom_in_figure(samples, len(samples))),
      interpolation='nearest')
  axis.set_title('samples, and under each its nearest training image',
                 fontsize=10)
  axis.set_axis_off()
  bottom.suptitle('scores, with 95 % intervals', fontsize=10)
  axes = bottom.subplots(rows, _COLUMNS, squeeze=False).ravel()
  for axis, score in zip(axes, scores):
    for place, (found, color) in enumerate((
        (score.samples, figures.BLUE), (score.floor, figures.GREY))):
      if found is None:
        axis.text(place, 0.5, 'no number', ha='center', va='center',
                  rotation=90, fontsize=8, color=color,
                  transform=axis.get_xaxis_transform())
        continue
      value, low, high = found
      axis.vlines(place, low, high, color=color, lw=2)
      axis.plot(place, value, 'o', color=color, ms=5)
    if score.samples is None and score.floor is None:
      axis.set_yticks([])
    axis.set_xticks((0, 1), ('samples', 'real data'), fontsize=8)
    axis.set_xlim(-0.6, 1.6)
    axis.set_title(score.name, fontsize=9)
    axis.tick_params(axis='y', labelsize=7)
    axis.margins(y=0.15)
    axis.grid(True, axis='y', alpha=0.25)
  for axis in axes[len(scores):]:
    axis.remove()
  figures.save(path, figure)


def save_sweep(
    path: str, title: str, scores: Mapping[str, tuple[float, float, float]],
    floor: str
) -> None:
  """Writes one metric of several sets, one above the other.

  Args:
    path: of the PNG.
    title: name of the metric.
    scores: name -> (value, low, high) of a set, from top to bottom.
    floor: name of the set of real data.
  """
  figure = figures.new(6, 0.9 + 0.35 * len(scores))
  axis = figure.subplots()
  for place, (name, (value, low, high)) in enumerate(scores.items()):
    color = figures.GREY if name == floor else figures.BLUE
    axis.hlines(place, low, high, color=color, lw=2)
    axis.plot(value, place, 'o', color=color, ms=5)
  axis.set_yticks(range(len(scores)), list(scores), fontsize=8)
  axis.set_ylim(len(scores) - 0.4, -0.6)
  axis.set_xlabel(f'{title}, with 95 % intervals', fontsize=9)
  axis.tick_params(axis='x', labelsize=8)
  axis.grid(True, axis='x', alpha=0.25)
  figures.save(path, figure)
