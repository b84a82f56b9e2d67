"""The folder of a run: whose it is, and who is at work in it.

settings.json holds the `kind` of the run, the `version` of its format, every
setting, the names of those that are `free` to change, `data_id` (see
`data.identity`), and `run`: the sha256 of all that is not free, as it was
written when the run began. What is free may change from command to command,
nothing else may.
"""

import os
from typing import Any, Callable, Mapping, NamedTuple, TypeVar

from genjax.checks import check
from genjax.checks import check_folder
from genjax.data.identity import Files
from genjax.data.identity import first_change
from genjax.data.identity import Identity
from genjax.files import read_json
from genjax.files import write_json
from genjax.runs import settings as run_settings

S = TypeVar('S')

VERSION = 2  # rises where a setting changes its meaning


def _sides_are_many(record: dict[str, Any]) -> dict[str, Any]:
  """Of a folder images were square, and had three channels whatever it held."""
  size = record.get('image_size')
  found = dict(record)
  if isinstance(size, int):
    found['image_size'] = [size]
  if str(record.get('data', '')).startswith('folder:'):
    found['channels'] = 3
  return found


# version -> function from the JSON of that version to that of the next.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _sides_are_many}

_OF_DATA = ('data', 'labels')  # settings that name files

SETTINGS, DATA = 'settings.json', 'data.json'

# What `fit_run` keeps in a workdir.
_FOLDERS = ('checkpoints', 'snapshots', 'tensorboard', 'profile')
KEPT = (SETTINGS, DATA, 'lock', 'metrics.jsonl', *_FOLDERS)


class Written(NamedTuple):
  """What a settings.json says, before its settings are checked."""

  path: str
  kind: str
  run: str
  data_id: str | None
  free: tuple[str, ...]
  record: dict[str, Any]  # all of it, as it is written
  values: dict[str, Any]  # the settings, by name, of the current version
  intact: bool  # whether `run` is the hash of what decides the run


def create_or_check(
    workdir: str, kind: str, settings: Any, data: Identity | None = None
) -> str:
  """Makes `workdir` a run's, or checks that it is that of the same run.

  Free settings are written anew; the others stay as they were written.

  Args:
    workdir: the folder; its parents are made too.
    kind: of the run.
    settings: dataclass of the kind.
    data: what is trained on, where it is identified.

  Returns:
    The identity of the run, `run`.

  Raises:
    ValueError: settings out of range, or a workdir that holds another run.
    OSError: it cannot be read or written.
  """
  run_settings.check_settings(settings)
  path, values = _path(workdir, SETTINGS), run_settings.to_json(settings)
  rules = run_settings.rules(type(settings))
  written = check_same(workdir, kind, settings, data)
  if written is None:
    os.makedirs(workdir, exist_ok=True)
    free = [name for name in rules if rules[name].free]
    record = {'kind': kind, 'data_id': data and data.data_id, **values}
    run = _run_of(record, free)
    if data is not None and data.files:
      write_json(_path(workdir, DATA), {'files': data.files})
    write_json(path, {'kind': kind, 'version': VERSION, 'run': run,
                      'free': free, **record})
  else:
    run = written.run
    # What an older version wrote is left to it.
    if written.record['version'] == VERSION:
      free = [name for name in rules if _is_free(rules[name], written)]
      write_json(path, {**written.record, 'free': free,
                        **{name: values[name] for name in free}})
  os.makedirs(os.path.join(workdir, 'figures'), exist_ok=True)
  return run


def check_same(
    workdir: str, kind: str, settings: Any, data: Identity | None = None
) -> Written | None:
  """What `workdir` holds, after a check that it is this run; None if nothing.

  Args: as of `create_or_check`.

  Raises:
    ValueError: it holds another run, or a damaged settings.json.
  """
  for name in _FOLDERS:
    path = _path(workdir, name)
    check(os.path.isdir(path) or not os.path.lexists(path), 'workdir',
          f'{path!r} must be a folder: remove it', 'another kind of file')
  if not os.path.lexists(_path(workdir, SETTINGS)):
    return None
  written = read(workdir)
  check(written.kind == kind, 'workdir', f'{workdir!r} holds a run of kind '
        f'{written.kind}; take another workdir', kind)
  before = settings_of(written, type(settings))
  changed = None
  if data is not None and written.data_id not in (None, data.data_id):
    changed = first_change(known_files(workdir), data.files)
    # A file that changed is what to say, not the facts that changed with it.
    same_name = all(getattr(before, name, None) == getattr(settings, name, None)
                    for name in _OF_DATA)
    _check_data(changed is None or not same_name, workdir, changed)
  for name, rule in run_settings.rules(type(settings)).items():
    was, now = getattr(before, name), getattr(settings, name)
    check(_is_free(rule, written) or was == now, 'workdir',
          f'{workdir!r} holds a run with {name}={run_settings.shown(was)}; '
          'take another workdir or the same settings', run_settings.shown(now))
  _check_data(data is None or written.data_id in (None, data.data_id), workdir,
              changed)
  return written


def _check_data(same: bool, workdir: str, changed: str | None) -> None:
  check(same, 'workdir', f'{workdir!r} holds a run on other data: they must be '
        'what they were, or take another workdir',
        changed or 'data that have changed')


def _is_free(rule: run_settings.Rule, written: Written) -> bool:
  """Whether a setting may change: as it was when the run began."""
  return rule.name in written.free or (
      rule.free and rule.name not in written.values)


def read(workdir: str) -> Written:
  """What the settings.json of `workdir` says.

  Raises:
    ValueError: there is no run, or the file is none of this or an older
      version. Settings are not looked at: see `settings_of`.
  """
  path = _path(workdir, SETTINGS)
  check(os.path.isfile(path), 'workdir',
        f'must be the folder of a run, which holds {SETTINGS}', repr(workdir))
  record = read_json(path)
  check(isinstance(record, dict), repr(path), 'must hold a JSON object',
        type(record).__name__)
  for name, kind in (('kind', str), ('version', int), ('run', str)):
    check(type(record.get(name)) is kind, repr(path),
          f'{name} must be of type {kind.__name__}', repr(record.get(name)))
  version, free = record['version'], record.get('free', [])
  check(isinstance(free, list) and all(isinstance(n, str) for n in free),
        repr(path), 'free must be a list of names', repr(free))
  check(isinstance(record.get('data_id'), (str, type(None))), repr(path),
        'data_id must be text or null', repr(record.get('data_id')))
  check(1 <= version <= VERSION, repr(path), 'must be of a version from 1 to '
        f'{VERSION}: a newer genjax may read it', f'version {version}')
  intact = record['run'] == _run_of(record, free)
  latest = record
  while version < VERSION:
    latest, version = UPGRADES[version](latest), version + 1
  values = {name: value for name, value in latest.items()
            if name not in run_settings.RESERVED}
  return Written(path, record['kind'], record['run'], record.get('data_id'),
                 tuple(free), record, values, intact)


def settings_of(written: Written, Settings: type[S]) -> S:
  """The settings that were read, typed and checked.

  A setting that the file lacks, because it is older, has its default.

  Raises:
    ValueError: a setting is unknown or out of range, or the file was changed
      after the run began.
  """
  settings = run_settings.from_json(Settings, written.values,
                                    repr(written.path))
  check(written.intact, repr(written.path), 'must be as it was written when '
        'the run began: undo the change, or take another workdir',
        'another hash than its run')
  return settings


def known_files(workdir: str) -> Files:
  """The files of the data of the run in `workdir`; empty where unknown."""
  path = _path(workdir, DATA)
  try:
    found = read_json(path)['files']
    return {str(name): (int(size), int(time), str(digest))
            for name, (size, time, digest) in found.items()}
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return {}  # only a help: data_id decides


def check_output(path: str) -> None:
  """Raises ValueError if to write `path` would harm a run.

  That is so of the folder of a run itself, of what fit_run keeps in it, and of
  what lies below that; other files beside them do no harm.
  """
  check_folder('out', path)
  path = os.path.realpath(path)
  folder, name = os.path.split(path)
  below = os.path.isfile(os.path.join(path, SETTINGS))
  while name and not below:
    below = name in KEPT and os.path.isfile(os.path.join(folder, SETTINGS))
    folder, name = os.path.split(folder)
  check(not below, 'out', 'must not be the folder of a run nor what it keeps: '
        'take another name', repr(path))


def is_run(path: str) -> bool:
  """Whether a folder is that of a run, as one of a store is taken to be."""
  return '://' in path or os.path.isfile(os.path.join(path, SETTINGS))


def _path(workdir: str, name: str) -> str:
  # The empty path would be the current folder.
  check_folder('workdir', workdir)
  return os.path.join(workdir, name)


def _run_of(record: Mapping[str, Any], free: Any) -> str:
  """The hash of what decides a run, of a settings.json as it is read."""
  return run_settings.run_id({
      name: value for name, value in record.items()
      if name not in ('version', 'run', 'free') and name not in free})
