"""Signals drawn as small pictures, to stand wherever images do."""

import numpy as np

from genjax.checks import check_rank
from genjax.viz import figures

HEIGHT, WIDTH = 64, 96  # pixels of a picture
_MARGIN = 4  # rows above 1 and below -1
_LIGHT = 225  # grey of the lines at -1, 0 and 1


def curves(x: np.ndarray) -> np.ndarray:
  """Signals [N, L, C] as uint8 [N, 64, 96, 3]: a curve a channel, over time.

  From -1, the lower grey line, to 1, the upper one; what is beyond leaves the
  picture. Where several steps fall on one column all of them are drawn.
  """
  check_rank('curves', 'x', x, 3)
  num, length, channels = x.shape
  edges = np.linspace(0, length - 1, WIDTH + 1)  # of the columns
  at = np.union1d(edges, np.arange(length))
  first, last = (np.searchsorted(at, side) for side in (edges[:-1], edges[1:]))
  before = np.minimum(at.astype(int), max(length - 2, 0))
  share = (at - before).astype(np.float32)
  after = np.minimum(before + 1, length - 1)
  rows = np.arange(HEIGHT)[:, None]
  pictures = np.full((num, HEIGHT, WIDTH, 3), 255, np.uint8)
  for value in (-1, 0, 1):
    pictures[:, int(np.round(_row(np.array(value))))] = _LIGHT
  colors = np.round(255 * figures.colors(channels)[:, :3]).astype(np.uint8)
  for channel in reversed(range(channels)):  # the first on top
    y = _row(x[..., channel])
    y = y[:, before] * (1 - share) + y[:, after] * share
    top, bottom = (np.round(of(of.reduceat(y, first, 1), y[:, last]))[:, None]
                   for of in (np.minimum, np.maximum))
    pictures[(rows >= top) & (rows <= bottom)] = colors[channel]
  return pictures


def _row(value: np.ndarray) -> np.ndarray:
  """The row, from the top, at which a value is drawn."""
  return _MARGIN + (1 - value) / 2 * (HEIGHT - 1 - 2 * _MARGIN)
