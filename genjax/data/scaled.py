"""Images and signals of more than 8 bits, read in [-1, 1] and written back.

Pixels of 8 bits are in [0, 255], whatever a set holds. Of other numbers nobody
knows from what they go to what: they are scaled by the lowest and the highest
of their array.
"""

import dataclasses
import math
import operator
from typing import Any, NamedTuple

import numpy as np

from genjax.checks import check

TYPES = ('float16', 'float32', 'float64', 'int16', 'uint16')

_LARGEST = 1e30  # of their numbers
_BLOCK = 2**24  # numbers of an array that are looked at together


class Scale(NamedTuple):
  """What stands for -1, what stands for 1, and the type of the data."""

  low: float
  high: float
  type: str  # one of TYPES

  @property
  def num_levels(self) -> int | None:
    """How many whole numbers there are from low to high; None of floats."""
    whole = np.dtype(self.type).kind in 'iu'
    return int(self.high - self.low) + 1 if whole else None


def find_scale(where: str, values: np.ndarray) -> Scale:
  """The scale of an array of one of TYPES, which is read once, in parts.

  Raises:
    ValueError: a number that is not finite or beyond 1e30, or all the same.
  """
  rows = max(1, _BLOCK // math.prod(values.shape[1:]))
  low, high = math.inf, -math.inf
  for start in range(0, len(values), rows):
    part = values[start:start + rows]
    ends = float(part.min()), float(part.max())  # NaN where there is any
    check(all(abs(end) <= _LARGEST for end in ends), where,
          f'must hold finite numbers of at most {_LARGEST:g}', max(
              ends, key=lambda end: math.inf if math.isnan(end) else abs(end)))
    low, high = min(low, ends[0]), max(high, ends[1])
  check(low < high, where, 'must vary', f'{low:g} throughout')
  return Scale(low, high, values.dtype.name)


def to_model(scale: Scale, values: np.ndarray) -> np.ndarray:
  """Numbers in [low, high] as float32 in [-1, 1], right to its last bit."""
  low, high = np.float64(scale.low), np.float64(scale.high)
  values = np.asarray(values, np.float64)
  return (2 * ((values - low) / (high - low)) - 1).astype(np.float32)


def from_model(scale: Scale, x: np.ndarray) -> np.ndarray:
  """Numbers in [low, high], of the data's own type, of x in [-1, 1].

  Inverts `to_model`: of whole numbers exactly, of others within 2^-26 of the
  range, but for their own rounding. What is out of [-1, 1] is clipped, as for
  pixels; whole numbers are rounded, and NaN is the lowest of them.
  """
  share = np.clip((np.asarray(x, np.float64) + 1) / 2, 0, 1)
  wide = scale.high - scale.low
  # So that both ends come back as they are.
  values = np.where(share < 0.5, scale.low + share * wide,
                    scale.high - (1 - share) * wide)
  if scale.num_levels is not None:
    values = np.round(np.nan_to_num(values, nan=scale.low))
  return values.astype(scale.type)


@dataclasses.dataclass(frozen=True)
class ScaledSource:
  """A `Source` of images [H, W, C] or signals [L, C] of some scale.

  Attributes:
    values: [N, ...] of the type that the scale says; it may lie in a file.
    scale: of them; items are {'x': float32 in [-1, 1]}.
  """

  values: np.ndarray
  scale: Scale

  def __len__(self) -> int:
    return len(self.values)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return {'x': to_model(self.scale, self.values[operator.index(index)])}

  def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of the elements `index` [B]."""
    return {'x': to_model(self.scale, self.values[index])}
