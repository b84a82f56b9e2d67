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
  low, high = np.min(points, 0), np.max(points, 0)
  margin = 0.06 * (high - low)
  lines = np.linspace(low - margin, high + margin, _GRID).T
  mesh = np.stack(np.meshgrid(*lines), -1).reshape(-1, len(lines))
  maps = [None if panel.log_density is None else
          np.exp(np.asarray(panel.log_density(mesh))) for panel in panels]
  drawn = [np.max(density) for density in maps if density is not None]
  top = np.median(drawn) if drawn else 1.0

  figure, axes = _axes(len(panels))
  image = None
  for axis, panel, density in zip(axes, panels, maps):
    axis.set_title(panel.title, fontsize=9)
    axis.set_xlabel(names[0], fontsize=8)
    axis.tick_params(labelsize=7)
    if len(lines) == 1:
      axis.hist(points[:, 0], 60, density=True, color=figures.GREY, alpha=0.35)
      if density is not None:
        axis.plot(lines[0], density, color=figures.BLUE, lw=1.2)
      axis.set(xlim=lines[0][[0, -1]], ylim=(0, 1.4 * top))
      axis.set_ylabel('density', fontsize=8)
      continue
    axis.set_ylabel(names[1], fontsize=8)
    extent = [*lines[0][[0, -1]], *lines[1][[0, -1]]]
    if density is not None:
      image = axis.imshow(
          density.reshape(_GRID, _GRID), origin='lower', extent=extent,
          cmap='Blues', vmin=0, vmax=top, aspect='auto')
    _dots(axis, points, alpha=0.25 if density is None else 0.1)
    axis.set(xlim=extent[:2], ylim=extent[2:])
  if image is not None:
    bar = figure.colorbar(image, ax=axes, extend='max', shrink=0.6, pad=0.01)
    bar.set_label('density, per unit of area', fontsize=8)
    bar.ax.tick_params(labelsize=7)
  figures.save(path, figure)


def save_samples(
    path: str, panels: Sequence[tuple[str, np.ndarray]],
    names: Sequence[str] = ('$x_1$', '$x_2$')
) -> None:
  """Writes points [N, D] by title, the first two of D coordinates, as PNG.

  Args:
    path: of the PNG.
    panels: (title, points); the first decides what part of space is shown.
    names: of the axes.
  """
  low, high = np.min(panels[0][1], 0), np.max(panels[0][1], 0)
  margin = 0.06 * (high - low)
  figure, axes = _axes(len(panels))
  for axis, (title, points) in zip(axes, panels):
    _dots(axis, points, alpha=0.5)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(names[0], fontsize=8)
    axis.set_ylabel(names[1], fontsize=8)
    axis.tick_params(labelsize=7)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]),
             ylim=(low[1] - margin[1], high[1] + margin[1]))
  figures.save(path, figure)


def _axes(num: int):
  """A figure of `num` panels, and their axes."""
  columns = min(num, _COLUMNS)
  rows = -(-num // columns)
  figure = figures.new(2.6 * columns, 2.5 * rows)
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[num:]:
    axis.remove()
  return figure, axes[:num]


def _dots(axis, points, alpha):
  axis.plot(points[:, 0], points[:, 1], ',', color=figures.ORANGE, alpha=alpha)
