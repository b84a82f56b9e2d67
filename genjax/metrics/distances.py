"""Squared distances of rows to rows, fast, and right where it matters.

|a|^2 + |b|^2 - 2 a.b costs one matrix product, but is rounded in the unit of
the norms, and differently in another block. The sum of squared differences is
0 for copies, the same for a pair in any order, block and role, and right to
rounding wherever the origin is, but costs ten times as much. Here the product
tells, with a bound on its error, the few pairs on which an answer turns, and
differences decide these.
"""

from typing import Callable, Iterator, NamedTuple

import numpy as np

from genjax.checks import check_positive

_CHUNK = 2**20  # numbers of a difference held at a time
_DIGITS = 2.0**10  # a square of so many errors has digits enough


class Block(NamedTuple):
  """Squared distances of n rows of a to all M of b; NaN where no number is.

  `sharpen` takes a mask [n, M], and puts sums of squared differences in
  `squared` where it is true.
  """

  rows: slice  # of a
  squared: np.ndarray  # [n, M], by a product
  error: np.ndarray  # [n, M], which `squared` is off by at most
  sharpen: Callable[[np.ndarray], None]


def as_rows(x: np.ndarray) -> np.ndarray:
  """x [N, ...] as [N, D], which may be empty."""
  x = np.asarray(x)
  return x.reshape(len(x), int(np.prod(x.shape[1:])))


def blocks(a: np.ndarray, b: np.ndarray, block: int = 256) -> Iterator[Block]:
  """Distances of a [N, D] to b [M, D], `block` rows of a at a time.

  Raises:
    ValueError: a block that is not positive.
  """
  check_positive('squared_distances', 'block', block)
  a, b = np.asarray(a), np.asarray(b)
  whole = np.isfinite(b.astype(np.float64)).all(1)
  # Near all points, the norms are no larger than the distances.
  centre = (b[whole].mean(0, dtype=np.float64) if whole.any()
            else np.zeros(b.shape[1]))
  centred_b, norms_b = _centred(b, centre)
  names_a, names_b = _names(a), _names(b)
  rounding = 4 * (b.shape[1] + 8) * np.finfo(np.float64).eps
  for start in range(0, len(a), block):
    rows = slice(start, min(start + block, len(a)))
    centred_a, norms_a = _centred(a[rows], centre)
    norms = norms_a[:, None] + norms_b
    squared = norms - 2 * centred_a @ centred_b.T

    def sharpen(mask, start=start, squared=squared):
      i, j = np.nonzero(mask)
      # Of many copies, one pair is enough.
      pairs, first, pair = np.unique(
          names_a[start + i] * len(b) + names_b[j], return_index=True,
          return_inverse=True)
      found = np.empty(len(pairs))
      step = max(1, _CHUNK // max(1, b.shape[1]))
      for at in range(0, len(pairs), step):
        some = first[at:at + step]
        found[at:at + step] = np.square(
            a[start + i[some]].astype(np.float64) - b[j[some]]).sum(1)
      squared[mask] = found[pair]

    yield Block(rows, squared, rounding * norms, sharpen)


def squared_distances(
    a: np.ndarray, b: np.ndarray, block: int = 256
) -> Iterator[tuple[slice, np.ndarray]]:
  """Squared distances of a [N, D] to b [M, D], as (rows of a, [n, M]).

  0 for copies, never negative, right to 10 bits or (of pairs that are not much
  nearer than others) far more, and of the digits of float64 where the distance
  is small. NaN where a row holds no number.

  Raises:
    ValueError: a block that is not positive.
  """
  for rows, squared, error, sharpen in blocks(a, b, block):
    sharpen(squared <= _DIGITS * error)
    yield rows, squared


def _centred(x: np.ndarray, centre: np.ndarray) -> tuple[
    np.ndarray, np.ndarray]:
  """x - centre in float64, NaN in rows that are not finite, and its norms."""
  x = x.astype(np.float64)
  x[~np.isfinite(x).all(1)] = np.nan
  x -= centre
  return x, np.sum(np.square(x), 1)


def _names(x: np.ndarray) -> np.ndarray:
  """A number for each row [N], the same for copies."""
  names: dict[bytes, int] = {}
  return np.array([names.setdefault(row.tobytes(), len(names)) for row in x],
                  np.int64)
