"""Which files of a folder are images, and what class each is of."""

import pathlib
import stat
from typing import Iterator, Sequence

from absl import logging

from genjax.checks import check
from genjax.data import folder_labels
from genjax.data import folder_names

_SUFFIXES = ('.png', '.jpg', '.jpeg')
_WHERE = 'folder_source'


def find(
    root: pathlib.Path, labels: str = 'folders'
) -> tuple[list[pathlib.Path], folder_labels.Labels]:
  """The images below `root` and their classes, as `folder_source` has them.

  Args:
    root: an existing folder.
    labels: 'folders', 'prefix' or 'csv:<path>'.

  Raises:
    ValueError: see `folder_source`.
  """
  if labels == 'folders':
    files, others, found = _by_folder(root)
  else:
    files, others = _sort_out(_walk(root, ()))
    _check_some(root, bool(files))
    found = folder_labels.read(
        labels, [f.relative_to(root).as_posix() for f in files])
    others = [path for path in others if not (
        found.path and path.samefile(found.path))]
  if others:
    logging.warning(
        '%s: left out of %r (no %s files): %s', _WHERE, str(root),
        ', '.join(_SUFFIXES),
        _listed([str(p.relative_to(root)) for p in others]))
  return files, found


def _check_some(root: pathlib.Path, some: bool) -> None:
  check(some, _WHERE, f'{str(root)!r} must hold {", ".join(_SUFFIXES)} files, '
        'directly or in one sub-folder a class', 'none')


def _by_folder(
    root: pathlib.Path
) -> tuple[list[pathlib.Path], list[pathlib.Path], folder_labels.Labels]:
  """(images, other files, labels), each sub-folder of `root` a class."""
  shown, entries = repr(str(root)), _entries(root)
  top, others = _sort_out(p for p, mode in entries if not stat.S_ISDIR(mode))
  classes: dict[str, list[pathlib.Path]] = {}
  for folder in (p for p, mode in entries if stat.S_ISDIR(mode)):
    name = folder_names.from_folder(folder.name)
    check(name not in classes, _WHERE,
          f'every sub-folder of {shown} must be a class of its own',
          f'two that are {name!r}')
    classes[name], more = _sort_out(_walk(folder, (_identity(root),)))
    others += more
  filled = sorted(name for name, files in classes.items() if files)
  _check_some(root, bool(top or filled))
  check(not (top and filled), _WHERE,
        f'{shown} must hold images either directly (no classes) or in '
        'sub-folders (classes): move them',
        f'{len(top)} beside the sub-folders {_listed(filled)}')
  empty = [name for name in sorted(classes) if filled and name not in filled]
  check(not empty, _WHERE, f'every sub-folder of {shown} must hold images: '
        'remove the others', f'none in {_listed(empty)}')
  labels = [i for i, name in enumerate(filled) for _ in classes[name]]
  return (top + [f for name in filled for f in classes[name]], others,
          folder_labels.Labels(tuple(labels), tuple(filled)))


def _entries(folder: pathlib.Path) -> list[tuple[pathlib.Path, int]]:
  """(path, mode of what it leads to) in order of name, but for the hidden."""
  try:
    paths = sorted(p for p in folder.iterdir()
                   if not folder_names.is_hidden(p.name))
  except OSError as error:
    raise ValueError(
        f'folder_source: folders must be readable, got {_reason(error)}, '
        f'{str(folder)!r}') from error
  return [(path, _mode(path)) for path in paths]


def _mode(path: pathlib.Path) -> int:
  try:
    mode = path.stat().st_mode
  except OSError as error:
    raise ValueError(
        'folder_source: links must lead to a file or folder: mend or remove '
        f'{str(path)!r}, got {_reason(error)}') from error
  check(stat.S_ISDIR(mode) or stat.S_ISREG(mode) or not _is_image(path),
        'folder_source', 'images must be regular files',
        f'another kind, {str(path)!r}')
  return mode


def _walk(
    folder: pathlib.Path, above: tuple[tuple[int, int], ...]
) -> Iterator[pathlib.Path]:
  """The files below `folder`, at any depth; `above` are the folders it is in.
  """
  here = _identity(folder)
  if here in above:
    return  # a link back, to what is being read already
  for path, mode in _entries(folder):
    if stat.S_ISDIR(mode):
      yield from _walk(path, (*above, here))
    else:
      yield path


def _identity(folder: pathlib.Path) -> tuple[int, int]:
  status = folder.stat()
  return status.st_dev, status.st_ino


def _sort_out(
    files: Iterator[pathlib.Path]
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """(those called like images, the others), each in order."""
  found = sorted(files)
  return ([path for path in found if _is_image(path)],
          [path for path in found if not _is_image(path)])


def _is_image(path: pathlib.Path) -> bool:
  return path.suffix.lower() in _SUFFIXES


def _listed(names: Sequence[str], most: int = 3) -> str:
  """Some names for a message in one line."""
  # What could end the line is written as in Python.
  shown = [name if name.isprintable() else repr(name) for name in names[:most]]
  rest = len(names) - len(shown)
  return ', '.join(shown) + (f' and {rest} more' if rest else '')


def _reason(error: Exception) -> str:
  text = getattr(error, 'strerror', None) or str(error)
  return text.splitlines()[0] if text else type(error).__name__
