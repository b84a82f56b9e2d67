"""Restorations as pictures, and how sure they are."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from genjax.viz import figures
from genjax.viz.images import tile
from genjax.viz.images import zoom_in_figure


class Shown(NamedTuple):
  """Images of one solver, uint8 [N, H, W, C]."""

  draws: np.ndarray  # uint8 [N, S, H, W, C]
  mean: np.ndarray
  spread: np.ndarray  # standard deviation of the draws, white being most


def save_restorations(
    path: str, measured: np.ndarray, truth: np.ndarray, shown: Shown,
    title: str
) -> None:
  """Writes a row an image: what was measured, draws, mean, spread, truth.

  Args:
    path: of the PNG.
    measured: uint8 [N, H, W, C], as near as an image comes to it.
    truth: uint8 [N, H, W, C].
    shown: of the solver.
    title: above.
  """
  draws = shown.draws.shape[1]
  columns = draws + 4
  rows = np.concatenate([
      measured[:, None], shown.draws, shown.mean[:, None],
      shown.spread[:, None], truth[:, None]], axis=1)
  zoom = zoom_in_figure(truth, columns)
  picture = tile(rows.reshape(-1, *truth.shape[1:]), columns,
                 gap=max(2, zoom // 2), zoom=zoom)
  figure = figures.new(8.4, 8.4 * picture.shape[0] / picture.shape[1] + 0.7)
  axis = figure.subplots()
  axis.imshow(picture, interpolation='nearest')
  axis.set_title(title, loc='left', fontsize=10)
  centres = (np.arange(columns) + 0.5) * picture.shape[1] / columns
  axis.set_xticks(centres, [
      'measured', *(f'draw {i + 1}' for i in range(draws)), 'mean', 'spread',
      'truth'], fontsize=8)
  axis.set_yticks([])
  axis.tick_params(length=0)
  axis.spines[:].set_visible(False)
  figures.save(path, figure)


def save_ranks(
    path: str, counts: Mapping[str, Sequence[int]], num_draws: int
) -> None:
  """Writes a histogram a solver of the ranks of the truth among its draws."""
  figure = figures.new(8.4, 2.6)
  axes = np.atleast_1d(figure.subplots(1, len(counts), sharey=True))
  for axis, (name, count) in zip(axes, counts.items()):
    shares = np.asarray(count) / max(1, np.sum(count)) * (num_draws + 1)
    axis.bar(np.arange(num_draws + 1), shares, width=1.0, color=figures.BLUE)
    axis.axhline(1, color=figures.GREY, linestyle='--', linewidth=1)
    axis.set_title(name, fontsize=10)
    axis.set_xticks([0, num_draws])
    axis.set_xlabel('draws below the truth', fontsize=8)
  axes[0].set_ylabel('share, in units of\nwhat is right', fontsize=8)
  figures.save(path, figure)
