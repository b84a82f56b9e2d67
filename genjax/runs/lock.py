"""One process at a time in the folder of a run.

The kernel keeps the lock (flock) and drops it when its process ends, however
that happens. Between machines it holds where their shared file system carries
such locks.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
from typing import Iterator, TextIO

from absl import logging

from genjax import store
from genjax.checks import check
from genjax.checks import check_folder
from genjax.runs import store_lock

LOCK = 'lock'  # file in the workdir: {"host", "pid", "start"} of its holder


@contextlib.contextmanager
def lock(workdir: str) -> Iterator[None]:
  """Holds `workdir`, which is made if it is not there, until the block ends.

  A folder that the block leaves empty is removed again if it was made here.
  Where the file system has no locks a warning says so, and nothing is held.

  Raises:
    ValueError: another process holds it.
    OSError: the folder cannot be made or written.
  """
  check_folder('workdir', workdir)
  copy, below = store.find(workdir)
  if copy is not None:
    with store_lock.hold(copy, below):
      yield
    return
  made = not os.path.isdir(workdir)
  os.makedirs(workdir, exist_ok=True)
  path = os.path.join(workdir, LOCK)
  with _locked(workdir, path) as file:
    if os.path.getsize(path):
      logging.warning('%s: taking over from %s, which did not let go of it',
                      workdir, _holder(file))
    file.truncate(0)
    start = datetime.datetime.now(datetime.timezone.utc)
    json.dump({'host': socket.gethostname(), 'pid': os.getpid(),
               'start': start.isoformat(timespec='seconds')}, file)
    file.flush()
    try:
      yield
    finally:
      if _is_at(path, file):
        os.remove(path)
      if made:
        with contextlib.suppress(OSError):  # it is not empty
          os.rmdir(workdir)


def _locked(workdir: str, path: str) -> TextIO:
  """The file at `path`, open and locked."""
  while True:
    file = open(path, 'a+', encoding='utf8')
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      with file:
        check(False, 'workdir', f'{workdir!r} must be free: wait, stop the '
              'other or take another workdir', f'one in use by {_holder(file)}')
    except OSError as error:
      if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
        raise
      logging.warning('%s: its file system has no locks: see to it that no '
                      'other process works there', workdir)
      return file
    if _is_at(path, file):
      return file
    file.close()  # its holder removed it meanwhile


def _is_at(path: str, file: TextIO) -> bool:
  try:
    return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
  except FileNotFoundError:
    return False


def _holder(file: TextIO) -> str:
  """Who holds the lock, or held it last, as far as its file says."""
  file.seek(0)
  try:
    held = json.load(file)
    return f'process {held["pid"]} on {held["host"]!r} since {held["start"]}'
  except (ValueError, KeyError, TypeError, RecursionError):
    return 'another process'
