"""One process at a time in the folder of a run."""

import contextlib
import fcntl
import json
import os
import socket
from typing import Any, Iterator

from absl import logging

from genjax.checks import check

LOCK = 'lock'  # file in the workdir: {"host", "pid", "start"}


@contextlib.contextmanager
def lock(workdir: str) -> Iterator[None]:
  """Holds `workdir`, which is made if it is not there, until the block ends.

  A lock left by a process that was killed on this machine is taken over. A
  folder that the block leaves empty is removed again if it was made here.

  Raises:
    ValueError: another process holds it, or one on another machine, of which
      nobody here can say whether it lives.
    OSError: the folder cannot be made or written.
  """
  check(bool(workdir), 'workdir', 'must name a folder', repr(workdir))
  made = not os.path.isdir(workdir)
  os.makedirs(workdir, exist_ok=True)
  path = os.path.join(workdir, LOCK)
  own = {'host': socket.gethostname(), 'pid': os.getpid(),
         'start': _start_of(os.getpid())}
  _acquire(workdir, path, own)
  try:
    yield
  finally:
    if _read(path) == own:
      os.remove(path)
    if made and not os.listdir(workdir):
      os.rmdir(workdir)


def _acquire(workdir: str, path: str, own: dict[str, Any]) -> None:
  with _alone(workdir):
    for _ in range(2):
      try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
      except FileExistsError:
        _check_dead(workdir, path, own['host'])
        logging.warning('%s: taking over from a process that was killed',
                        workdir)
        with contextlib.suppress(FileNotFoundError):
          os.remove(path)
        continue
      with os.fdopen(file, 'w') as stream:
        json.dump(own, stream)
      return
  raise ValueError(f'workdir: {workdir!r} must be free, got one that several '
                   'processes want at once')


@contextlib.contextmanager
def _alone(workdir: str) -> Iterator[None]:
  """Keeps others of this machine from looking at the lock meanwhile."""
  folder = os.open(workdir, os.O_RDONLY)
  try:
    with contextlib.suppress(OSError):  # some file systems have no such locks
      fcntl.flock(folder, fcntl.LOCK_EX)
    yield
  finally:
    os.close(folder)


def _check_dead(workdir: str, path: str, host: str) -> None:
  """Raises ValueError unless the holder of the lock is known to be dead."""
  held = _read(path)
  if held is None:
    return  # killed while it wrote the file
  who = f'process {held["pid"]} on {held["host"]!r}'
  check(held['host'] == host, 'workdir', f'{workdir!r} must be free: if nobody '
        f'is at work there, remove {path!r}', f'one in use by {who}')
  start = _start_of(held['pid'])
  check(start is None or start != held['start'], 'workdir',
        f'{workdir!r} must be free: wait, stop the other or take another '
        'workdir', f'one in use by {who}')


def _read(path: str) -> dict[str, Any] | None:
  """What a lock says; None where it is damaged or gone."""
  try:
    with open(path, encoding='utf8') as file:
      held = json.load(file)
    ok = (isinstance(held['host'], str) and type(held['pid']) is int
          and 0 < held['pid'] < 2**31 and isinstance(held['start'], str))
    return {name: held[name] for name in ('host', 'pid', 'start')} if ok else (
        None)
  except (OSError, ValueError, KeyError, TypeError, RecursionError):
    return None


def _start_of(pid: int) -> str | None:
  """When a process of this machine began; None where there is none.

  In ticks since the machine started, of a Linux; elsewhere 'unknown'.
  """
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return None
  except PermissionError:
    pass  # somebody else's
  try:
    with open(f'/proc/{pid}/stat', encoding='utf8', errors='replace') as file:
      # The name of the program, in brackets, may hold anything.
      state, *fields = file.read().rpartition(')')[2].split()
  except OSError:
    return 'unknown'
  return None if state in 'ZX' else fields[18]
