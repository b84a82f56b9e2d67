"""Points by name: a toy set, or a file with a row a point."""

from typing import NamedTuple

import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import sources
from genjax.data import toy

_POINTS = 8192  # of a toy set, to fit to and as many to test with
_TEST = 0.2  # share of a file
_FEWEST, _MOST_COLUMNS = 20, 16


class Points(NamedTuple):
  """Points to fit to and points to test with, in the unit of the data."""

  train: np.ndarray  # float64 [N, D], in random order
  test: np.ndarray  # float64 [M, D]
  names: tuple[str, ...]  # of the D coordinates; empty where they have none


def open_points(name: str, seed: int) -> Points:
  """The points of a toy set, or of a file .npy or .csv.

  Raises:
    ValueError: an unknown set, or a file that does not hold points.
    OSError: a file that cannot be read.
  """
  if not name.endswith(('.npy', '.csv')):
    check_choice('data', 'it, if no file .npy or .csv,', name, toy.SETS)
    train, test = (
        toy.toy_source(name, _POINTS, 2 * seed + i).arrays['x'].astype(float)
        for i in range(2))
    return Points(train, test, ())
  x, names = read_points(name)
  # Rows may be sorted.
  x = x[sources.permutation(len(x), seed, stream=3)]
  test, train = np.split(x, [round(_TEST * len(x))])
  check(bool(np.all(train.std(0) > 0)), 'data',
        f'every column of {name!r} must vary', 'one value throughout')
  return Points(train, test, names)


def read_points(path: str) -> tuple[np.ndarray, tuple[str, ...]]:
  """Points float64 [N, D] of a .npy or .csv, and names of their coordinates.

  The first line of a .csv may hold the names; without it there are none.

  Raises:
    ValueError: anything but a table of 20 or more rows of finite numbers.
    OSError: it cannot be read.
  """
  where = f'data: {path!r}'
  names: tuple[str, ...] = ()
  try:
    if path.endswith('.npy'):
      x = np.load(path, allow_pickle=False)
    else:
      with open(path, encoding='utf8') as file:
        lines = [line.split(',') for line in file if line.strip()]
      if lines and not _are_numbers(lines[0]):
        names = tuple(name.strip() for name in lines[0])
        lines = lines[1:]
      x = np.array(lines, dtype=float)
    check(x.dtype.kind in 'biuf', where, 'must hold real numbers', x.dtype)
    x = np.asarray(x, dtype=float)
  except (ValueError, TypeError, EOFError) as error:
    raise ValueError(f'{where} must hold rows of numbers of one length, '
                     f'got {error}') from error
  x = x[:, None] if x.ndim == 1 else x
  check(x.ndim == 2 and len(x) >= _FEWEST and x.size > 0, where,
        f'must hold {_FEWEST} or more rows', f'shape {x.shape}')
  check(x.shape[1] <= _MOST_COLUMNS, where,
        f'must have at most {_MOST_COLUMNS} columns', x.shape[1])
  check(len(names) in (0, x.shape[1]), where,
        f'must name each of its {x.shape[1]} columns, or none', len(names))
  finite = np.isfinite(x).all(1)
  check(bool(finite.all()), where, 'must hold finite numbers',
        f'NaN or infinity in {np.sum(~finite)} of {len(x)} rows')
  return x, names


def _are_numbers(words: list[str]) -> bool:
  try:
    return bool(np.array(words, dtype=float).size)
  except ValueError:
    return False
