"""Files that are written whole or not at all, by the first process alone."""

import json
import math
import os
from typing import Any, Callable, Mapping

import jax


def write_whole(path: str, write: Callable[[str], Any]) -> None:
  """Writes beside `path` and renames, so that no half file is ever seen.

  Where several processes work together all may ask for it: only the first one
  writes.

  Args:
    path: of the file; its folder is there.
    write: writes the file of the name it is given, which ends like `path`.
  """
  if jax.process_index() > 0:
    return
  stem, ending = os.path.splitext(path)
  partial = f'{stem}.partial{ending}'
  try:
    write(partial)
    os.replace(partial, path)
  except BaseException:  # an interrupt too
    if os.path.exists(partial):
      os.remove(partial)
    raise


def write_text(path: str, text: str) -> None:
  """Writes a text file, see `write_whole`."""

  def write(partial: str) -> None:
    with open(partial, 'w', encoding='utf8') as file:
      file.write(text)

  write_whole(path, write)


def write_json(path: str, value: Any) -> None:
  """Writes a JSON file, see `write_whole`; what is not finite becomes null."""
  write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + '\n')


def _finite(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _finite(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_finite(item) for item in value]
  return None if isinstance(value, float) and not math.isfinite(value) else (
      value)


def read_json(path: str) -> Any:
  """Reads a JSON file.

  Raises:
    ValueError: it holds something else.
    OSError: it cannot be read.
  """
  with open(path, encoding='utf8') as file:
    try:
      return json.load(file)
    except (ValueError, RecursionError) as error:
      raise ValueError(f'{path!r} must hold JSON, got {error}') from error
