"""Densities over the data they are meant to describe."""

from typing import Callable, NamedTuple, Sequence

import numpy as np

from genjax.checks import check
from genjax.viz import figures

_COLUMNS = 4
_GRID = 160  # points along each axis of a map


class DensityPanel(NamedTuple):
  """One density of a figure."""

  title: str
  # Points [M, D] -> nats [M] in the unit of the points; None draws the points
  # alone.
  log_density: Callable[[np.ndarray], np.ndarray] | None


def save_densities(
    path: str, points: np.ndarray, panels: Sequence[DensityPanel],
    names: Sequence[str] = ('$x_1$', '$x_2$')
) -> None:
  """Writes densities of one or two dimensions over points, a panel each.

  All panels share their scale, which ends at the median of the panels'
  maxima: peaks above it are drawn like it.

  Args:
    path: of the PNG.
    points: [N, 1] or [N, 2], which also say what part of space is shown.
    panels: in reading order.
    names: of the axes.

  Raises:
    ValueError: points of another dimension.
  """
  check(points.ndim == 2 and points.shape[1] in (1, 2), 'save_densities',
        'points must be [N, 1] or [N, 2]', f'shape {points.shape}')
  lines = np.linspace(*_limits(points), _GRID).T
  mesh = np.stack(np.meshgrid(*lines), -1).reshape(-1, len(lines))
  maps = [None if panel.log_density is None else
          np.exp(np.asarray(panel.log_density(mesh))) for panel in panels]
  drawn = [np.max(density) for density in maps if density is not None]
  top = np.median(drawn) if drawn else 1.0

  figure, axes = _axes([panel.title for panel in panels])
  if len(lines) == 1:
    for axis, density in zip(axes, maps):
      axis.hist(points[:, 0], 'auto', density=True, color=figures.ORANGE,
                alpha=0.35)
      if density is not None:
        axis.plot(lines[0], density, color=figures.BLUE, lw=1.2)
      axis.set(xlim=lines[0][[0, -1]], ylim=(0, 1.4 * top))
      _label(axis, (names[0], 'density'))
    figures.save(path, figure)
    return

  extent = [*lines[0][[0, -1]], *lines[1][[0, -1]]]
  image = None
  for axis, density in zip(axes, maps):
    if density is not None:
      image = axis.imshow(
          density.reshape(_GRID, _GRID), origin='lower', extent=extent,
          cmap='Blues', vmin=0, vmax=top, aspect='auto')
    _dots(axis, points, figures.ORANGE, 0.5 if density is None else 0.15)
    axis.set(xlim=extent[:2], ylim=extent[2:])
    _label(axis, names)
  if image is not None:
    bar = figure.colorbar(image, ax=axes, extend='max', shrink=0.6, pad=0.01)
    bar.set_label('density, per unit of area', fontsize=8)
    bar.ax.tick_params(labelsize=7)
  figures.save(path, figure)


def save_samples(
    path: str, points: np.ndarray, panels: Sequence[tuple[str, np.ndarray]],
    names: Sequence[str] = ('$x_1$', '$x_2$')
) -> None:
  """Writes draws of distributions under points, the first two coordinates.

  Args:
    path: of the PNG.
    points: [N, D], which also say what part of space is shown.
    panels: (title, draws [M, D]); no draws leave the points alone.
    names: of the axes.
  """
  low, high = _limits(points)
  figure, axes = _axes([title for title, _ in panels])
  for axis, (_, draws) in zip(axes, panels):
    _dots(axis, draws, figures.BLUE, 0.4)
    _dots(axis, points, figures.ORANGE, 0.7)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    _label(axis, names)
  figures.save(path, figure)


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Opposite corners [D] of a box with a margin around the points."""
  low, high = np.min(points, 0), np.max(points, 0)
  margin = 0.06 * (high - low)
  return low - margin, high + margin


def _axes(titles: Sequence[str]):
  """A figure of a panel for each title, and their axes."""
  columns = min(len(titles), _COLUMNS)
  rows = -(-len(titles) // columns)
  figure = figures.new(2.6 * columns, 2.5 * rows)
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[len(titles):]:
    axis.remove()
  for axis, title in zip(axes, titles):
    axis.set_title(title, fontsize=9)
  return figure, axes[:len(titles)]


def _label(axis, names):
  axis.set_xlabel(names[0], fontsize=8)
  axis.set_ylabel(names[1], fontsize=8)
  axis.tick_params(labelsize=7)
  # The common part of large numbers.
  axis.xaxis.get_offset_text().set_size(7)
  axis.yaxis.get_offset_text().set_size(7)


def _dots(axis, points, color, alpha):
  # Fewer points are drawn larger.
  size = np.clip(120 / np.sqrt(max(len(points), 1)), 1.2, 5)
  axis.plot(points[:, 0], points[:, 1], '.', color=color, alpha=alpha,
            markersize=size, markeredgewidth=0)
