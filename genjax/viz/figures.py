"""The door to matplotlib: figures made, drawn and written.

The other files of this room draw on the axes of a `new` figure.
"""

from typing import Any

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from genjax.files import write_whole

BLUE, ORANGE, GREEN, GREY = '#2166ac', '#d6604d', '#4d9221', '#666666'
DOTS = 150


def new(width: float, height: float) -> Figure:
  """An empty figure of width x height inches, laid out without overlaps."""
  return Figure((width, height), layout='constrained')


def save(path: str, figure: Figure) -> None:
  """Writes `figure` to `path` at DOTS an inch."""
  write_whole(path, lambda p: figure.savefig(p, dpi=DOTS, facecolor='white'))


def pixels(figure: Figure) -> np.ndarray:
  """What `figure` looks like at 100 dots an inch: uint8 [H, W, 3]."""
  figure.set(dpi=100, facecolor='white')
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def shades(num: int) -> Any:
  """`num` colours [num, 4] in an order the eye sees, dark to light."""
  return colormaps['viridis'](np.linspace(0, 0.9, num))


def colors(num: int) -> Any:
  """`num` colours [num, 4] of no order, told apart by hue and by lightness."""
  table = colormaps['tab10'](range(10))
  return table[np.arange(num) % len(table)]


def plain(name: str, most: int = 40) -> str:
  """The text that shows a name out of somebody's data letter by letter.

  Between two dollars matplotlib would read a formula, and fail on half of one.
  What is not printable becomes U+FFFD; beyond `most` letters a name is cut.
  """
  shown = ''.join(c if c.isprintable() else '\ufffd' for c in name)
  if len(shown) > most:
    shown = shown[:most - 1] + '\u2026'
  return shown.replace('$', r'\$')
