"""The geometric augmentation of EDM, and the nine numbers that tell it.

Karras et al. 2022, arXiv:2206.00364, appendix F.2 and table 6: a model that is
told how an image was changed keeps the changes apart from the data, and draws
what was not changed where it is told zeros.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

WORDS = 16  # of 64 random bits, by which an image is changed
SIZE = 9  # of the numbers that tell how

_SCALE = 0.2 * np.log(2)  # of ln of a scale
_TRANSLATION = 1 / 8  # of a translation, in sides of the image


class Change(NamedTuple):
  """How images are changed, in this order; each [B], 0 for not at all.

  Angles are in radians, counterclockwise as an image is seen.
  """

  x_flip: np.ndarray  # a0, 1 where left and right are exchanged
  y_flip: np.ndarray  # a1, 1 where top and bottom are
  scale: np.ndarray  # a2, log2 of the factor over 0.2
  angle: np.ndarray  # a3, of a rotation about the centre
  stretch: np.ndarray  # a5, log2 of the factor over 0.2; across it shrinks
  direction: np.ndarray  # a4, that in which it is stretched
  right: np.ndarray  # a6, eighths of the width
  down: np.ndarray  # a7, eighths of the height


def drawn(bits: np.ndarray, probability: float) -> Change:
  """Changes at random, by the laws of table 6.

  Left and right are exchanged with probability 1/2. Each other is made with the
  given probability, independently: then top and bottom are exchanged with
  probability 1/2, angles are uniform, and the rest is standard normal.

  Args:
    bits: uint64 [B, WORDS], random.
    probability: of each.
  """
  # Within (0, 1), and symmetric about 1/2.
  u = ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
  flip, scale, turn, stretch, shift = (
      u[:, i] < probability for i in range(5))
  x_flip, y_flip = (u[:, i] < 0.5 for i in (5, 6))
  angle, direction = (np.pi * (2 * u[:, i] - 1) for i in (7, 8))
  normal = special.ndtri(u[:, 9:13]).T
  return Change(
      1.0 * x_flip, 1.0 * (flip & y_flip), scale * normal[0], turn * angle,
      stretch * normal[1], direction, shift * normal[2], shift * normal[3])


def told(change: Change) -> np.ndarray:
  """The nine numbers that tell a change, float32 [B, SIZE]; 0 for none.

  Table 6: a0, a1, a2, cos a3 - 1, sin a3, a5 cos a4, a5 sin a4, a6, a7.
  """
  return np.stack([
      change.x_flip, change.y_flip, change.scale, np.cos(change.angle) - 1,
      np.sin(change.angle), change.stretch * np.cos(change.direction),
      change.stretch * np.sin(change.direction), change.right, change.down,
  ], axis=1).astype(np.float32)


def changed(x: np.ndarray, change: Change) -> np.ndarray:
  """Images x [B, H, W, C] of 2 or more pixels a side, changed.

  Flips are exact. What else is done is one resampling by cubic convolution
  (Keys 1981), of the image mirrored beyond its borders, which are not doubled;
  each channel stays within the values that it had.

  Returns:
    float32 [B, H, W, C]. Images that are not changed are the same to the bit.
  """
  x = np.array(x, np.float32)
  for flip, axis in ((change.x_flip, 2), (change.y_flip, 1)):
    x[flip == 1] = np.flip(x[flip == 1], axis)
  moved = np.any([change.scale, change.angle, change.stretch, change.right,
                  change.down], axis=0)
  if moved.any():
    x[moved] = _resampled(x[moved], Change(*(a[moved] for a in change)))
  return x


def _resampled(x: np.ndarray, change: Change) -> np.ndarray:
  """x [B, H, W, C] after all but the flips."""
  height, width = x.shape[1:3]
  # Each pixel comes from where the changes, undone, take it: x to the right
  # and y down from the centre.
  right, down = (size * _TRANSLATION * a[:, None, None] for size, a in (
      (width, change.right), (height, change.down)))
  at_x = np.arange(width) - (width - 1) / 2 - right
  at_y = (np.arange(height) - (height - 1) / 2)[:, None] - down
  back = _undone(change)[..., None, None]
  columns = back[:, 0, 0] * at_x + back[:, 0, 1] * at_y + (width - 1) / 2
  rows = back[:, 1, 0] * at_x + back[:, 1, 1] * at_y + (height - 1) / 2
  return _interpolated(x, rows, columns)


def _undone(change: Change) -> np.ndarray:
  """The matrices [B, 2, 2] that undo scale, rotation and stretch."""

  def turned(angle: np.ndarray) -> np.ndarray:  # clockwise
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, -sin, sin, cos], -1).reshape(-1, 2, 2)

  factor = np.exp(_SCALE * change.stretch)
  along = turned(-change.direction) * np.stack(
      [1 / factor, factor], -1)[:, None]
  return (turned(change.angle) @ along @ turned(change.direction)
          * np.exp(-_SCALE * change.scale)[:, None, None])


def _interpolated(
    x: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
  """Values of x [B, H, W, C] at rows and columns [B, H, W].

  Within those of each channel, beyond which cubics overshoot at edges.
  """
  number, height, width, channels = x.shape
  row, row_weights = _taps(rows, height)
  column, column_weights = _taps(columns, width)
  wide = np.pad(x, [(0, 0), (1, 2), (1, 2), (0, 0)], 'reflect')
  # Channel by channel: numpy is several times as fast so as pixel by pixel.
  flat = np.ascontiguousarray(np.moveaxis(wide, -1, 0)).reshape(channels, -1)
  images = np.arange(number)[:, None, None]
  first = (images * (height + 3) + row) * (width + 3) + column
  found = np.zeros((channels, *first.shape), np.float32)
  for i, j in np.ndindex(4, 4):
    at, weight = first + i * (width + 3) + j, row_weights[i] * column_weights[j]
    for channel in range(channels):
      found[channel] += weight * flat[channel].take(at, mode='clip')
  values = flat.reshape(channels, number, -1)
  low, high = (bound(axis=-1)[..., None, None]
               for bound in (values.min, values.max))
  return np.moveaxis(np.clip(found, low, high), 0, -1)


def _taps(at: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
  """(the first of the four pixels about `at`, their weights [4, ...]).

  Pixels are counted from the one before the first of the image.
  """
  mirrored = size - 1 - np.abs(size - 1 - at % (2 * size - 2))
  first = np.floor(mirrored)
  t = (mirrored - first).astype(np.float32)
  weights = 0.5 * np.stack([
      t * (t * (2 - t) - 1), t * t * (3 * t - 5) + 2,
      t * (t * (4 - 3 * t) + 1), t * t * (t - 1)])
  return first.astype(np.intp), weights
