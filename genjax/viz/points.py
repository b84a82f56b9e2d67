"""Clouds of 2-D points, alone and over time."""

from typing import Callable, Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures


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
  figure = figures.new(1.4 * steps, 2.0 * len(strips))
  rows = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
  for row, (title, panels) in zip(rows, strips.items()):
    row.suptitle(title, x=0.005, ha='left', fontsize=11)
    for axis, panel in zip(row.subplots(1, steps, squeeze=False)[0], panels):
      _draw_points(axis, panel.points, panel.limit, panel.log_density)
      axis.set_xlabel(panel.caption, fontsize=9)
  figures.save(path, figure)


def _draw_points(axis, points, limit, log_density):
  if log_density is not None:
    line = np.linspace(-limit, limit, 80)
    mesh = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    density = np.exp(np.asarray(log_density(mesh))).reshape(80, 80)
    levels = density.max() * np.array([0.02, 0.1, 0.3, 0.6, 0.9])
    axis.contour(line, line, density, levels, colors=figures.ORANGE,
                 linewidths=0.8)
  axis.plot(points[:, 0], points[:, 1], ',', color=figures.BLUE, alpha=0.6)
  axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal',
           xticks=[], yticks=[])


def save_points(path: str, points: np.ndarray, limit: float) -> None:
  """Writes 2-D points [N, 2] within [-limit, limit]^2 as a PNG."""
  figure = figures.new(4, 4)
  _draw_points(figure.subplots(), points, limit, None)
  figures.save(path, figure)


def point_frame(
    points: np.ndarray, limit: float, caption: str, *, size: int = 400
) -> np.ndarray:
  """One frame of an animation of 2-D points [N, 2]: uint8 [size, size, 3]."""
  figure = figures.new(size / 100, size / 100)
  axis = figure.subplots()
  _draw_points(axis, points, limit, None)
  axis.set_title(caption, fontsize=9)
  return figures.pixels(figure)
