"""Panels of curves, bands, bars and points, in rows; a joint density."""

from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np

from genjax.checks import check_choice
from genjax.viz import figures


class Layer(NamedTuple):
  """One thing drawn on a panel."""

  kind: str  # a name in KINDS
  x: np.ndarray  # [N]
  y: np.ndarray | None = None  # [N]; a band's ends [2, N]; no histogram's
  label: str | None = None
  color: Any = figures.BLUE


class Panel(NamedTuple):
  """One pair of axes, and what is drawn on it from back to front."""

  title: str
  x_label: str
  y_label: str
  layers: Sequence[Layer]
  log: str = ''  # which axes are logarithmic: '', 'x', 'y' or 'xy'
  x_limits: tuple[float, float] | None = None
  y_limits: tuple[float | None, float | None] | None = None
  equal: bool = False  # one unit is as long on both axes
  rows: Sequence[str] = ()  # names of y = 0, 1, ..., the first on top
  legend_below: bool = False  # the axes, where it hides nothing


class Joint(NamedTuple):
  """A density of two variables on a mesh, draws, and what lies beside it."""

  x: np.ndarray  # [N]
  y: np.ndarray  # [M]
  density: np.ndarray  # [M, N]
  levels: np.ndarray  # densities of the contours, increasing
  points: np.ndarray  # [P, 2]
  slice_at: float  # the y of a line across
  above: Sequence[Layer]  # functions of x
  right: Sequence[Layer]  # functions of y


def _bars(axis, x, y, **style):
  axis.bar(x, y, np.min(np.diff(x)), edgecolor='white', linewidth=0.3,
           alpha=0.5, **style)


def _histogram(axis, x, y, **style):
  axis.hist(x, 60, density=True, alpha=0.3, **style)


KINDS: Mapping[str, Callable[..., Any]] = {
    'line': lambda axis, *xy, **style: axis.plot(*xy, lw=1.5, **style),
    'thin': lambda axis, *xy, **style: axis.plot(*xy, lw=0.8, **style),
    'dashed': lambda axis, *xy, **style: axis.plot(*xy, '--', lw=1.2, **style),
    'marked': lambda axis, *xy, **style: axis.plot(
        *xy, 'o-', ms=3.5, lw=1, **style),
    'marks': lambda axis, *xy, **style: axis.plot(*xy, 'o', ms=4, **style),
    'dots': lambda axis, *xy, **style: axis.plot(
        *xy, '.', ms=3, mew=0, alpha=0.5, **style),
    'band': lambda axis, x, y, **style: axis.fill_between(
        x, *y, alpha=0.2, lw=0, **style),
    'bars': _bars,
    'histogram': _histogram,
}


def save_panels(
    path: str, rows: Sequence[Sequence[Panel]], *, width: float = 9,
    height: float = 3
) -> None:
  """Writes rows of panels, one above the other, as a PNG.

  Args:
    path: of the PNG.
    rows: each fills the width with its panels.
    width: of the figure, inches.
    height: of a row, inches.

  Raises:
    ValueError: a layer of an unknown kind.
  """
  figure = figures.new(width, height * len(rows))
  parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
  for part, row in zip(parts, rows):
    for axis, panel in zip(part.subplots(1, len(row), squeeze=False)[0], row):
      draw_panel(axis, panel)
  figures.save(path, figure)


def save_joint(path: str, joint: Joint, names: tuple[str, str]) -> None:
  """Writes a joint density with what lies above and beside it, as a PNG.

  Args:
    path: of the PNG.
    joint: what is drawn.
    names: of x and y.
  """
  figure = figures.new(7, 6)
  axes = figure.subplot_mosaic(
      [['above', '.'], ['main', 'right']], width_ratios=(3, 1.4),
      height_ratios=(1.4, 3))
  main, above, right = (axes[name] for name in ('main', 'above', 'right'))
  main.plot(*joint.points.T, '.', ms=3, mew=0, alpha=0.5, color=figures.GREY)
  main.contour(joint.x, joint.y, joint.density, joint.levels,
               colors=figures.BLUE, linewidths=1.2)
  main.axhline(joint.slice_at, color=figures.ORANGE, lw=1.5)
  main.set(xlim=joint.x[[0, -1]], ylim=joint.y[[0, -1]])
  main.set_xlabel(names[0], fontsize=10)
  main.set_ylabel(names[1], fontsize=10)
  for layer in joint.above:
    _add(above, layer)
  for layer in joint.right:
    _add(right, layer, upright=True)
  above.set(ylabel='density', ylim=(0, None), xlim=main.get_xlim())
  right.set(xlabel='density', xlim=(0, None), ylim=main.get_ylim())
  right.locator_params(axis='x', nbins=3)
  for axis in (above, right):
    _legend(axis, loc='lower left', bbox_to_anchor=(0, 1), frameon=False)
  figures.save(path, figure)


def draw_panel(axis: Any, panel: Panel) -> None:
  """Draws `panel` on the axes of a figure.

  Raises:
    ValueError: a layer of an unknown kind.
  """
  for layer in panel.layers:
    _add(axis, layer)
  axis.set_title(panel.title, fontsize=10)
  axis.set_xlabel(panel.x_label, fontsize=9)
  axis.set_ylabel(panel.y_label, fontsize=9)
  axis.tick_params(which='both', labelsize=8)
  axis.grid(True, which='major', alpha=0.25)
  axis.set_axisbelow(True)
  if 'x' in panel.log:
    axis.set_xscale('log')
  if 'y' in panel.log:
    axis.set_yscale('log')
  if panel.x_limits is not None:
    axis.set_xlim(panel.x_limits)
  if panel.y_limits is not None:
    axis.set_ylim(panel.y_limits)
  if panel.rows:
    axis.set_yticks(range(len(panel.rows)), panel.rows)
    axis.set_ylim(len(panel.rows) - 0.5, -0.5)
  if panel.equal:
    axis.set_aspect('equal', adjustable='datalim')
  if panel.legend_below:
    _legend(axis, loc='upper center', bbox_to_anchor=(0.5, -0.24), ncols=2,
            frameon=False, columnspacing=1.0, handlelength=1.5)
  else:
    _legend(axis)


def _legend(axis, **style):
  if axis.get_legend_handles_labels()[0]:
    axis.legend(fontsize=8, **style)


def _add(axis, layer: Layer, upright: bool = False):
  """Draws `layer`, or its mirror image with x going up."""
  check_choice('save_panels', 'kind', layer.kind, KINDS)
  style: dict[str, Any] = {'color': layer.color, 'label': layer.label}
  if upright and layer.kind == 'histogram':
    style['orientation'] = 'horizontal'
  xy = (layer.y, layer.x) if upright and layer.y is not None else (
      layer.x, layer.y)
  KINDS[layer.kind](axis, *xy, **style)
