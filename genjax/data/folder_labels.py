"""What class each image of a folder is of, where its sub-folder does not say.

`prefix` is the beginning of a file's name, up to the first digit or one of
"_", "-", "(" and ".": cat_01.png, cat-1.png, cat1.png and "cat (1).png" are of
class "cat". `csv:<path>` is a table whose first line names its columns: one row
an image, in `file` its path below the folder, in `label` its class, and in any
other column a number. Of label and numbers either may be left out.
"""

import csv
import math
import os
import posixpath
import re
from typing import Any, NamedTuple, Sequence

import numpy as np

from genjax.checks import check

_LARGEST = 1e30  # of numbers, well within float32


class Labels(NamedTuple):
  """The classes of N images, and numbers beside them, in the order of these."""

  labels: tuple[int, ...]  # place of each one's class; empty without classes
  class_names: tuple[str, ...]  # sorted
  path: str = ''  # of the table that says them, if there is one
  vectors: np.ndarray | None = None  # float32 [N, V]
  vector_names: tuple[str, ...] = ()  # of the V columns


def read(labels: str, names: Sequence[str]) -> Labels:
  """The classes of images by their paths below their folder.

  Args:
    labels: 'prefix' or 'csv:<path>'.
    names: the paths, with '/' between folders.

  Raises:
    ValueError: anything else, a name without a prefix, or a table that is none
      or does not hold every image, and nothing else, once.
  """
  kind, _, path = labels.partition(':')
  check(labels == 'prefix' or kind == 'csv' and bool(path), 'labels',
        'must be folders, prefix or csv:<path>', repr(labels))
  if labels == 'prefix':
    return _numbered([_prefix(name) for name in names])
  rows, where = _rows(path), f'labels: {path!r}'
  absent, strange = set(names) - rows.keys(), rows.keys() - set(names)
  check(not absent, where, 'must hold a row for every image', 'none for '
        f'{len(absent)} of {len(names)}, such as {min(absent, default="")!r}')
  check(not strange, where, 'must hold images of the folder alone',
        f'{len(strange)} that are none, such as {min(strange, default="")!r}')
  of = [rows[name] for name in names]
  found = (_numbered([row['label'] for row in of]) if 'label' in of[0]
           else Labels((), ()))
  numbers = tuple(name for name in of[0] if name != 'label')
  vectors = np.array([[row[name] for name in numbers] for row in of],
                     np.float32) if numbers else None
  return found._replace(path=path, vectors=vectors, vector_names=numbers)


def _prefix(name: str) -> str:
  found = re.match(r'[^_\-(.0-9]*', posixpath.basename(name))
  prefix = found[0].strip() if found else ''
  check(bool(prefix), 'labels', 'prefix needs names that begin with their '
        'class, such as cat_01.png', repr(name))
  return prefix


def _rows(path: str) -> dict[str, dict[str, Any]]:
  """What the table at `path` says of each file: label and numbers."""
  where = f'labels: {path!r}'
  check(os.path.isfile(path), where, 'must be a file', 'none')
  try:
    # A spreadsheet may begin with a mark of the byte order.
    with open(path, encoding='utf-8-sig', newline='') as file:
      reader = csv.reader(file, strict=True, skipinitialspace=True)
      lines = [(reader.line_num, row) for row in reader if row]
  except (OSError, ValueError, csv.Error) as error:
    raise ValueError(f'{where}: must be a table in UTF-8 with commas between, '
                     f'got {error}') from error
  columns = [name.strip() for name in lines[0][1]] if lines else []
  check('file' in columns and len(columns) > 1
        and len(set(columns)) == len(columns) and all(columns), where,
        'must name its columns in its first line, file and label or others, '
        'such as file,label', ','.join(columns) or 'nothing')
  found: dict[str, dict[str, Any]] = {}
  for number, row in lines[1:]:
    check(len(row) == len(columns), where,
          f'line {number} must have {len(columns)} values', len(row))
    values: dict[str, Any] = {
        name: value.strip() for name, value in zip(columns, row)}
    file_name = posixpath.normpath(values.pop('file'))
    check(file_name not in found, where, 'must hold a file once',
          repr(file_name))
    for name, value in values.items():
      if name == 'label':
        check(bool(value), where, f'line {number} must have a label',
              repr(file_name))
      else:
        values[name] = _number(value)
        check(abs(values[name]) <= _LARGEST, where, f'line {number} must hold '
              f'a number in column {name!r}: remove a column of anything else',
              repr(value))
    found[file_name] = values
  return found


def _number(text: str) -> float:
  try:
    return float(text)
  except ValueError:
    return math.nan


def _numbered(classes: Sequence[str]) -> Labels:
  names = tuple(sorted(set(classes)))
  places = {name: i for i, name in enumerate(names)}
  return Labels(tuple(places[name] for name in classes), names)
