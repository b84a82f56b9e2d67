"""One process at a time in the folder of a run on an object store.

An object holds who is at work, and every 20 s when it was last heard of; its
creation is refused where it is there already. Who is not heard of for 100 s is
taken for dead. That is told by the clocks of the two machines: where they
differ by more, or where a process was asleep, two may hold it, and the first
of them ends at its next checkpoint.
"""

import contextlib
import datetime
import json
import os
import socket
import threading
import time
from typing import Any, Iterator
import uuid

from absl import logging

from genjax import store
from genjax.checks import check

BEAT, SILENCE = 20.0, 100.0  # seconds


@contextlib.contextmanager
def hold(copy: store.Copy, below: str = '') -> Iterator[None]:
  """Holds a folder of a store until the block ends.

  Where another process takes it meanwhile, nothing more is sent to the store.

  Args:
    copy: of the folder.
    below: a folder of it, with its slash.

  Raises:
    ValueError: another process holds it.
    OSError: the store cannot be read or written.
  """
  url = f'{copy.url}/{below}'
  path = f'{url}{store.LOCK}'
  mine = _mine()
  while not _created(copy, path, mine):
    _make_free(copy, path, url.rstrip('/'))
  ended = threading.Event()

  def beat() -> None:
    while not ended.wait(BEAT):
      try:
        held = _read(copy.files, path)
        if held.get('id') != mine['id']:
          copy.barred = (f'workdir: {url} must be worked at by one process, '
                         f'and was taken by {_name(held)}')
          return
        copy.files.pipe_file(path, _text(mine))
      except Exception as error:  # each store has its own
        logging.warning('%s cannot be written: %s', path, error)

  thread = threading.Thread(target=beat, daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()
    with contextlib.suppress(Exception):  # it is taken for dead in a while
      if _read(copy.files, path).get('id') == mine['id']:
        copy.files.rm_file(path)


def _mine() -> dict[str, Any]:
  start = datetime.datetime.now(datetime.timezone.utc)
  return {'host': socket.gethostname(), 'pid': os.getpid(),
          'start': start.isoformat(timespec='seconds'), 'id': uuid.uuid4().hex}


def _text(mine: dict[str, Any]) -> bytes:
  return json.dumps({**mine, 'heard': time.time()}).encode()


def _created(copy: store.Copy, path: str, mine: dict[str, Any]) -> bool:
  """Whether the object was not there, and is now this process's."""
  try:
    with store.said_of(copy.url, 'written'):
      copy.files.pipe_file(path, _text(mine), mode='create')
  except FileExistsError:
    return False
  return True


def _read(files: Any, path: str) -> dict[str, Any]:
  """What the object says; nothing where it is gone or damaged."""
  try:
    held = json.loads(files.cat_file(path))
  except (FileNotFoundError, ValueError, RecursionError):
    return {}
  return held if isinstance(held, dict) else {}


def _make_free(copy: store.Copy, path: str, url: str) -> None:
  """Removes the object of a process that is dead.

  Raises:
    ValueError: it is alive.
  """
  with store.said_of(copy.url, 'read'):
    held = _read(copy.files, path)
  heard = held.get('heard')
  age = time.time() - heard if isinstance(heard, (int, float)) else SILENCE
  check(age >= SILENCE, 'workdir', f'{url} must be free: '
        'wait, stop the other or take another workdir; who is not heard of '
        f'for {SILENCE:.0f} s has left it', f'one in use by {_name(held)}, '
        f'heard of {max(age, 0):.0f} s ago')
  logging.warning('%s: taking over from %s, which did not let go of it', url,
                  _name(held))
  with (store.said_of(copy.url, 'written'),
        contextlib.suppress(FileNotFoundError)):
    copy.files.rm_file(path)


def _name(held: dict[str, Any]) -> str:
  if not held:
    return 'another process'
  return (f'process {held.get("pid")} on {held.get("host")!r} since '
          f'{held.get("start")}')
