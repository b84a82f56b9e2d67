"""Scores of samples against the scale of guidance."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures

_APART = 0.012  # of the axis, between points of one scale by two methods
# None like the run's own scale, or real images.
_COLORS = (figures.BLUE, figures.GREEN, '#762a83', '#a6761d')


class Measure(NamedTuple):
  """One score at every scale, and of real images; each (value, low, high)."""

  title: str
  # method -> (scale, score), in the order of the scales
  lines: Mapping[str, Sequence[tuple[float, tuple[float, float, float]]]]
  floor: tuple[float, float, float]


def save_guidance(
    path: str, measures: Sequence[Measure], own: float
) -> None:
  """Writes a panel a measure, and in each a line a method.

  Args:
    path: of the PNG.
    measures: from left to right, of the same methods.
    own: the scale of the run.
  """
  figure = figures.new(3.5 * len(measures), 3.8)
  figure.suptitle('samples by their guidance, with 95 % intervals', fontsize=10)
  axes = figure.subplots(1, len(measures), squeeze=False)[0]
  for axis, measure in zip(axes, measures):
    _draw(axis, measure, own)
  figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False,
                loc='outside lower center', ncols=3 + len(measures[0].lines))
  figures.save(path, figure)


def _draw(axis, measure: Measure, own: float) -> None:
  value, low, high = measure.floor
  axis.axhspan(low, high, color=figures.GREY, alpha=0.12, lw=0)
  axis.axhline(value, color=figures.GREY, ls='--', lw=1.2, label='real images')
  axis.axvline(own, color=figures.ORANGE, lw=1.2,
               label=f"the run's own scale, {own:g}")
  scales = [scale for line in measure.lines.values() for scale, _ in line]
  apart = _APART * (max(scales) - min(scales))
  many = len(measure.lines)
  for place, (method, line) in enumerate(measure.lines.items()):
    x = np.array([scale for scale, _ in line])
    middle, least, most = np.transpose([score for _, score in line])
    axis.errorbar(
        x + apart * (place - (many - 1) / 2), middle,
        (np.maximum(middle - least, 0), np.maximum(most - middle, 0)),
        color=_COLORS[place % len(_COLORS)], fmt='o-', ms=4, lw=1.2,
        elinewidth=1, capsize=2, label=method.replace('_', ' '))
  axis.set_title(measure.title, fontsize=10)
  axis.set_xlabel('scale of guidance', fontsize=9)
  axis.tick_params(labelsize=8)
  axis.grid(True, alpha=0.25)
  axis.set_axisbelow(True)
