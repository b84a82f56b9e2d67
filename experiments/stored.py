"""A --workdir on an object store, such as gs://bucket/runs/digits."""

import contextlib
import sys
from typing import Any, Iterator, TextIO

from absl import flags

from genjax import store


@contextlib.contextmanager
def workdir_at_hand() -> Iterator[None]:
  """Puts a folder of this machine in the place of a --workdir on a store.

  What is written there is sent at the end, and lines that are printed speak of
  the address.

  Raises:
    ValueError, OSError: see `store.at_hand`.
  """
  values = flags.FLAGS
  if 'workdir' not in values or '://' not in (values.workdir or ''):
    yield
    return
  with store.at_hand('workdir', values.workdir) as folder:
    values['workdir'].value = folder
    shown: Any = _Shown(sys.stdout)
    with contextlib.redirect_stdout(shown):
      yield


class _Shown:
  """Writes to another stream, by `store.shown`."""

  def __init__(self, stream: TextIO):
    self._stream = stream

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    return self._stream.write(store.shown(text))
