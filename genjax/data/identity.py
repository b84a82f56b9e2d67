"""What a run was trained on, as a hash: it must not change behind its back."""

import hashlib
import math
import os
from typing import Any, Iterable, Mapping, NamedTuple

import numpy as np

from genjax.data.scaled import ScaledSource
from genjax.data.sources import ArraySource
from genjax.data.sources import View
from genjax.types import Source

# Path below the folder -> size in bytes, time of the last change in
# nanoseconds, and a digest of the content.
Files = Mapping[str, tuple[int, int, str]]

_WHOLE = 2**28  # bytes of an array that are all read; of a larger one, rows
_ENDS = 2**16  # bytes at each end of a file that are read
_ITEMS = 256  # read of a source that is neither in memory nor of files


class Identity(NamedTuple):
  """A data set, told from others."""

  data_id: str  # sha256 in hexadecimal
  files: Files  # empty where the data are not files


def identify(source: Source, known: Files | None = None) -> Identity:
  """Tells a data set from others by a bounded part of its content.

  Arrays are read whole up to 256 MiB each, of larger ones evenly spaced rows.
  Of files count path below their common folder, size, and 64 KiB at each end;
  where and when they lie there do not count. A table that says the classes of
  files counts whole, and by its own name. Of another source 256 evenly
  spaced items are read. A part of arrays is told as its copy would be.

  Args:
    source: the data.
    known: files of an earlier identity: one whose size and time are what they
      were is not read again.
  """
  indices, num = [], len(source)
  rows: np.ndarray | None = None
  while isinstance(source, View):
    indices.append(source.indices)
    source = source.source
  if isinstance(source, ArraySource) and indices:
    rows = indices.pop()
    while indices:
      rows = rows[indices.pop()]
  digest = hashlib.sha256(str(len(source) if rows is None else num).encode())
  files: Files = {}
  paths = getattr(source, 'files', None)
  if isinstance(source, ArraySource):
    _add(digest, source.arrays, rows)
  elif isinstance(source, ScaledSource):
    _add(digest, {'x': source.values})
  elif paths is not None:  # one file an item, as `folder_source` has them
    files = read_files(paths, known)
    if table := getattr(source, 'labels_path', ''):
      # No path of an image below the folder is written so.
      name = f'labels://{os.path.basename(table)}'
      files = {**files, name: _read_table(table)}
    for name, (size, _, content) in files.items():
      digest.update(f'{name!r} {size} {content}\n'.encode())
  else:
    places = np.linspace(0, len(source) - 1, min(_ITEMS, len(source)))
    for place in places.astype(int):
      _add(digest, source[int(place)])
  for places in indices:
    _add(digest, {'indices': places})
  return Identity(digest.hexdigest(), files)


def first_change(before: Files, after: Files) -> str | None:
  """Names the first file, in order of paths, that is not what it was."""
  for name in sorted(before.keys() | after.keys()):
    if name not in after:
      return f'data without {name!r}'
    if name not in before:
      return f'data with the new {name!r}' if before else None
    if (before[name][0], before[name][2]) != (after[name][0], after[name][2]):
      return f'another {name!r}'
  return None


def _add(
    digest: Any, arrays: Mapping[str, Any], rows: np.ndarray | None = None
) -> None:
  """Adds arrays, or the `rows` [M] of them."""
  for name in sorted(arrays):
    x = np.asarray(arrays[name])
    shape = x.shape if rows is None else (len(rows), *x.shape[1:])
    digest.update(f'{name} {x.dtype} {shape}\n'.encode())
    size, places = x.itemsize * math.prod(shape), rows
    if size > _WHOLE:
      most = max(1, _WHOLE * shape[0] // size)
      places = np.linspace(0, shape[0] - 1, most).astype(int)
      places = places if rows is None else rows[places]
    x = x if places is None else x[places]
    digest.update(np.ascontiguousarray(x).data)


def read_files(paths: Iterable[str], known: Files | None = None) -> Files:
  """What is known of files, by their paths below their common folder.

  Args:
    paths: of the files.
    known: see `identify`.

  Raises:
    OSError: one cannot be read.
  """
  paths, known = list(paths), known or {}
  top = os.path.commonpath([os.path.dirname(path) for path in paths])
  found = {}
  for path in sorted(paths):
    name = os.path.relpath(path, top).replace(os.sep, '/')
    status = os.stat(path)
    size, time, content = known.get(name, (-1, -1, ''))
    if (size, time) != (status.st_size, status.st_mtime_ns):
      content = _digest(path, status.st_size)
    found[name] = (status.st_size, status.st_mtime_ns, content)
  return found


def _read_table(path: str) -> tuple[int, int, str]:
  status = os.stat(path)
  with open(path, 'rb') as file:
    digest = hashlib.file_digest(file, 'sha256').hexdigest()
  return status.st_size, status.st_mtime_ns, digest[:16]


def _digest(path: str, size: int) -> str:
  with open(path, 'rb') as file:
    digest = hashlib.sha256(file.read(_ENDS))
    file.seek(max(file.tell(), size - _ENDS))
    digest.update(file.read(_ENDS))
  return digest.hexdigest()[:16]
