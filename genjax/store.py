"""The folder of a run on an object store, by a copy on this machine.

Objects are no files: they are written whole, listed by prefix, and neither
appended to nor renamed. So a run there is worked at in a copy, an ordinary
folder, and the first process sends what has changed at each checkpoint and at
the end. What is sent lies in the store as it does in the folder.

A checkpoint is sent before the object that says that it is whole, and is read
only where that is there: who is cut off in between leaves the one before.
"""

from concurrent import futures
import contextlib
import importlib.util
import json
import math
import os
import posixpath
import re
import shutil
import tempfile
import threading
from typing import Any, Callable, Collection, Iterator, Mapping, NamedTuple

from absl import logging
import jax

from genjax.checks import check

# How an address begins -> the package that fsspec takes for it.
SCHEMES: Mapping[str, str] = {'gs': 'gcsfs', 's3': 's3fs'}

LOCK = 'lock'  # object that says who is at work, see `runs.store_lock`
_STEP = re.compile(r'(?P<run>.*/)?(?P<kind>checkpoints|snapshots)/'
                   r'(?P<step>\d+)/(?P<rest>.+)')
_KEPT = re.compile(r'(.*/)?(checkpoints|snapshots)/')
_WHOLE = '_CHECKPOINT_METADATA'  # the last file of a checkpoint
_OPTIMIZER = 'training/'  # what only training reads of it
_SENT_ONLY = re.compile(r'(.*/)?(tensorboard|profile)/')
# Half-written: by orbax, `write_whole` and `MetricsWriter`.
_PASSING = re.compile(r'.*(\.orbax-checkpoint-tmp|\.partial(\.[^/]*)?$|\.tmp$)')
_LATEST = 2  # checkpoints that are read, and the best one
_THREADS = 8
_TRIES = 3  # of a list and what it names, while others may remove it


class _Copied(NamedTuple):
  """A file as it was when it was last the same here and there."""

  tag: str | None  # of the object's version; None of what was sent from here
  size: int
  time: int  # in nanoseconds


class Copy:
  """A folder of this machine that stands for one of an object store."""

  def __init__(self, url: str, files: Any, root: str, folder: str):
    """Reads nothing yet.

    Args:
      url: of the folder in the store.
      files: the store, of fsspec.
      root: what it calls the folder.
      folder: of this machine.
    """
    self.url = url
    self.files = files
    self.folder = folder
    self._root = f'{root}/'
    self.barred: str | None = None  # why nothing may be sent any more
    self._copied: dict[str, _Copied] = {}
    self._guard = threading.Lock()

  def pull(self, below: str = '', *, training: bool = False) -> None:
    """Fetches what is new or changed below a folder of the run.

    Args:
      below: 'classifier/' and the like; 'snapshots/' fetches these, which are
        left out otherwise.
      training: whether to fetch what only training needs.

    Raises:
      OSError: the store cannot be read.
    """
    for tries in range(_TRIES, 0, -1):
      with self._guard:
        found = self._listed(below)
        wanted = self._wanted(found, below, training)
        for path in [path for path in self._copied
                     if path.startswith(below) and path not in found]:
          del self._copied[path]
          with contextlib.suppress(FileNotFoundError):
            os.remove(self._here(path))
        try:
          self._each(self._fetch, [(path, found[path]) for path in wanted])
          return
        except FileNotFoundError as error:
          if tries == 1:
            raise OSError(f'workdir: {self.url} must stay while it is read, '
                          f'got {error}') from error

  def push(self, below: str | None = None) -> None:
    """Sends what has changed here, and removes there what is gone here.

    Args:
      below: folder of checkpoints to be sent with all that is beside them;
        None sends the others too.

    Raises:
      OSError: the store cannot be written, or another process has taken it.
    """
    def told(path: str) -> bool:
      return below is None or path.startswith(below) or not _KEPT.match(path)

    with self._guard:
      if self.barred is not None:
        raise OSError(self.barred)
      here = {path: state for path, state in self._walk() if told(path)}
      changed = [path for path, state in here.items()
                 if path not in self._copied or state != self._copied[path][1:]]
      gone = [path for path in self._copied if told(path)
              and not os.path.exists(self._here(path))]
      self._clear(changed)
      for last in (False, True):
        self._each(lambda path: self._send(path, here[path]),
                   [(path,) for path in changed if _is_last(path) == last])
      for last in (True, False):
        self._each(self._remove, [(path,) for path in gone
                                  if _is_last(path) == last])

  def _there(self, path: str) -> str:
    return posixpath.join(self.url, path)

  def _here(self, path: str) -> str:
    return os.path.join(self.folder, path)

  def _listed(self, below: str) -> dict[str, dict[str, Any]]:
    """What is known of every object below, by its path in the run."""
    with said_of(self.url, 'read'):
      try:
        found = self.files.find(self._root + below, detail=True)
      except FileNotFoundError:
        found = {}
    paths = ((name.removeprefix(self._root), info)
             for name, info in found.items()
             if name.startswith(self._root) and info['type'] == 'file')
    return {path: info for path, info in paths
            if posixpath.basename(path) not in ('', LOCK)}

  def _wanted(
      self, found: Mapping[str, Any], below: str, training: bool
  ) -> list[str]:
    """Paths of what is to be fetched: `pull` says which."""
    steps: dict[str, list[int]] = {}
    for path in found:
      if (step := _STEP.fullmatch(path)) and step['rest'] == _WHOLE:
        steps.setdefault(path[:step.start('step')], []).append(
            int(step['step']))
    taken = {folder: self._taken(folder, sorted(of), found)
             for folder, of in steps.items()}
    wanted = []
    for path, info in found.items():
      step = _STEP.fullmatch(path)
      if _SENT_ONLY.match(path) or not _differs(self._copied.get(path), info):
        continue
      if (kept := _KEPT.match(path)) and kept[2] == 'snapshots' and (
          not below.startswith(kept[0])):
        continue
      if step is None or (
          int(step['step']) in taken.get(path[:step.start('step')], ())
          and (training or step['kind'] == 'snapshots'
               or not step['rest'].startswith(_OPTIMIZER))):
        wanted.append(path)
    return wanted

  def _taken(
      self, folder: str, steps: list[int], found: Mapping[str, Any]
  ) -> Collection[int]:
    """The steps to be fetched: all snapshots; of checkpoints a few."""
    if folder.endswith('snapshots/'):
      return steps
    metrics: dict[int, float] = {}
    for step in steps:
      path = f'{folder}{step}/metrics/metrics'
      if path in found:
        with contextlib.suppress(ValueError, KeyError, TypeError):
          metrics[step] = float(
              json.loads(self.files.cat_file(self._there(path)))['metric'])
    finite = {k: v for k, v in metrics.items() if math.isfinite(v)}
    best = [min(finite, key=lambda k: (finite[k], -k))] if finite else []
    return {*steps[-_LATEST:], *best}

  def _walk(self) -> Iterator[tuple[str, tuple[int, int]]]:
    """Path, size and time of every file of the folder that is to be sent."""
    for top, _, names in os.walk(self.folder):
      for name in names:
        full = os.path.join(top, name)
        path = os.path.relpath(full, self.folder).replace(os.sep, '/')
        if name != LOCK and not _PASSING.match(path):
          with contextlib.suppress(FileNotFoundError):
            yield path, _state(full)

  def _clear(self, changed: list[str]) -> None:
    """Removes what a save that was cut off has left of the checkpoints."""
    folders = {path[:step.start('rest')] for path in changed
               if (step := _STEP.fullmatch(path))}
    for folder in folders:
      if not any(path.startswith(folder) for path in self._copied):
        left = self._listed(folder)
        for last in (True, False):
          self._each(self._remove, [(path,) for path in left
                                    if _is_last(path) == last])

  def _fetch(self, path: str, info: Mapping[str, Any]) -> None:
    full = self._here(path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    partial = f'{full}.partial'
    with said_of(self.url, 'read'):
      self.files.get_file(self._there(path), partial)
    os.replace(partial, full)
    self._copied[path] = _Copied(_tag(info), *_state(full))

  def _send(self, path: str, state: tuple[int, int]) -> None:
    """Sends a file; what may grow meanwhile is copied before."""
    full = self._here(path)
    with tempfile.NamedTemporaryFile(
        dir=os.path.dirname(self.folder)) as still:
      if not _STEP.fullmatch(path):
        try:
          shutil.copyfile(full, still.name)
        except FileNotFoundError:
          return
        full = still.name
      with said_of(self.url, 'written'):
        self.files.put_file(full, self._there(path))
    self._copied[path] = _Copied(None, *state)

  def _remove(self, path: str) -> None:
    with said_of(self.url, 'written'):
      with contextlib.suppress(FileNotFoundError):
        self.files.rm_file(self._there(path))
    self._copied.pop(path, None)

  def _each(
      self, function: Callable[..., None], told: list[tuple[Any, ...]]
  ) -> None:
    """Calls a function for each of the arguments, several at a time."""
    if told:
      with futures.ThreadPoolExecutor(min(_THREADS, len(told))) as pool:
        list(pool.map(lambda given: function(*given), told))


# The copies that this process has open, by their folders; addresses of all.
_OPEN: dict[str, Copy] = {}
_URLS: dict[str, str] = {}


@contextlib.contextmanager
def at_hand(where: str, path: str) -> Iterator[str]:
  """The folder `path` of this machine, or a copy of one of an object store.

  The copy is made in the folder for temporary files and removed at the end;
  before that the first process sends what has changed in it.

  Args:
    where: name of the argument, for messages.
    path: a folder, or an address such as gs://bucket/runs/digits.

  Raises:
    ValueError: an address of no store that is known, or of no folder.
    OSError: the store cannot be read or written.
  """
  if '://' not in path:
    yield path
    return
  url = path.rstrip('/')
  files, root = _opened(where, url)
  top = tempfile.mkdtemp(prefix='genjax_copy_')
  folder = os.path.join(os.path.realpath(top), posixpath.basename(url))
  copy = Copy(url, files, root, folder)
  try:
    os.makedirs(folder)
    copy.pull()
    _OPEN[folder], _URLS[folder] = copy, url
    try:
      yield folder
    except BaseException:
      try:
        push(folder)
      except OSError as error:  # the first one is what to say
        logging.warning('%s', error)
      raise
    push(folder)
  finally:
    _OPEN.pop(folder, None)
    shutil.rmtree(top, ignore_errors=True)


def push(folder: str) -> None:
  """Sends what has changed to the store, where `folder` is in a copy of it.

  Only the first process does. Of a folder of checkpoints the others, which may
  be half-written, are left to their own time.

  Raises:
    OSError: see `Copy.push`.
  """
  copy, below = find(folder)
  if copy is not None and jax.process_index() == 0:
    copy.push(below if _KEPT.fullmatch(below) else None)


def pull(folder: str, *, training: bool = False) -> None:
  """Fetches what has changed in the store, where `folder` is in a copy of it.

  Raises:
    OSError: see `Copy.pull`.
  """
  copy, below = find(folder)
  if copy is not None:
    copy.pull(below, training=training)


def find(folder: str) -> tuple[Copy | None, str]:
  """The copy that holds `folder`, if any, and the path there with a slash."""
  folder = os.path.realpath(folder) if _OPEN else folder
  for top, copy in list(_OPEN.items()):
    if folder == top or folder.startswith(top + os.sep):
      below = os.path.relpath(folder, top).replace(os.sep, '/')
      return copy, '' if below == '.' else f'{below}/'
  return None, ''


def shown(text: str) -> str:
  """`text`, with the addresses of stores in place of folders of copies."""
  for folder, url in list(_URLS.items()):
    text = text.replace(folder, url)
  return text


def discard() -> None:
  """Removes the copies: for a process that ends at once."""
  for folder in list(_OPEN):
    shutil.rmtree(os.path.dirname(folder), ignore_errors=True)


@contextlib.contextmanager
def said_of(url: str, done: str) -> Iterator[None]:
  """Says in one line what a store refuses: each has errors of its own."""
  try:
    yield
  except FileExistsError:
    raise
  except Exception as error:
    if isinstance(error, FileNotFoundError) and done == 'read':
      raise
    text = ' '.join(str(error).split())[:200]
    raise OSError(f'workdir: {url} must be a place that can be {done}, got '
                  f'{type(error).__name__}: {text}') from error


def _opened(where: str, url: str) -> tuple[Any, str]:
  """The store of an address, of fsspec, and what it calls the folder."""
  scheme, _, path = url.partition('://')
  check(scheme in SCHEMES, where, 'must be a folder of this machine, or in a '
        f'bucket, as {" or ".join(f"{s}://bucket/run" for s in SCHEMES)}',
        repr(url))
  check(len([part for part in path.split('/') if part]) > 1, where,
        'must name a folder of the bucket, as gs://bucket/run', repr(url))
  package = SCHEMES[scheme]
  check(importlib.util.find_spec(package) is not None, where, f'must be a '
        f'folder of this machine, or {package} be installed: pip install '
        f'{package}', repr(url))
  from fsspec import core  # only where there is such an address
  with said_of(url, 'reached'):
    # Lists that are kept would hide what other processes write.
    return core.url_to_fs(url, use_listings_cache=False)


def _tag(info: Mapping[str, Any]) -> str:
  """What changes with the object."""
  known = [info.get(name) for name in ('generation', 'ETag', 'created')]
  return repr([info.get('size'), *known])


def _differs(copied: _Copied | None, info: Mapping[str, Any]) -> bool:
  return copied is None or copied.tag not in (None, _tag(info))


def _is_last(path: str) -> bool:
  step = _STEP.fullmatch(path)
  return step is not None and step['rest'] == _WHOLE


def _state(path: str) -> tuple[int, int]:
  found = os.stat(path)
  return found.st_size, found.st_mtime_ns
