"""What class each image of a folder is of, where its sub-folder does not say.

`prefix` is the beginning of a file's name, up to the first digit or one of
"_", "-", "(" and ".": cat_01.png, cat-1.png, cat1.png and "cat (1).png" are of
class "cat". `csv:<path>` is a table with the header `file,label`: one row an
image, its path below the folder and its class.
"""

import csv
import os
import posixpath
import re
from typing import NamedTuple, Sequence

from genjax.checks import check

_COLUMNS = ('file', 'label')


class Labels(NamedTuple):
  """The classes of N images, in the order of these."""

  labels: tuple[int, ...]  # place of each one's class; empty without classes
  class_names: tuple[str, ...]  # sorted
  path: str = ''  # of the table that says them, if there is one


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
  return _numbered([rows[name] for name in names])._replace(path=path)


def _prefix(name: str) -> str:
  found = re.match(r'[^_\-(.0-9]*', posixpath.basename(name))
  prefix = found[0].strip() if found else ''
  check(bool(prefix), 'labels', 'prefix needs names that begin with their '
        'class, such as cat_01.png', repr(name))
  return prefix


def _rows(path: str) -> dict[str, str]:
  """Class of each file that the table at `path` names."""
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
  check(sorted(columns) == sorted(_COLUMNS), where,
        f'must have the columns {",".join(_COLUMNS)} in its first line',
        ','.join(columns) or 'nothing')
  found: dict[str, str] = {}
  for number, row in lines[1:]:
    check(len(row) == len(columns), where,
          f'line {number} must have {len(columns)} values', len(row))
    values = dict(zip(columns, row))
    name = posixpath.normpath(values['file'].strip())
    label = values['label'].strip()
    check(name not in found, where, 'must hold a file once', repr(name))
    check(bool(label), where, f'line {number} must have a label', repr(name))
    found[name] = label
  return found


def _numbered(classes: Sequence[str]) -> Labels:
  names = tuple(sorted(set(classes)))
  places = {name: i for i, name in enumerate(names)}
  return Labels(tuple(places[name] for name in classes), names)
