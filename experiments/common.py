"""What every script shares: flags, data by name, work directories, errors."""

import functools
import inspect
import json
import logging as std_logging
import math
import os
import sys
from typing import Any, Callable, Collection, Mapping, NamedTuple

from absl import app
from absl import flags
from absl import logging
import jax
import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import embedded
from genjax.data import pipeline
from genjax.data import sources
from genjax.data import toy
from genjax.types import Key
from genjax.types import Source

# What a run draws at random. Each has a stream of its own for every seed, so
# that neighbouring seeds share none; new ones go to the end.
_ROLES = ('init', 'training', 'grid', 'held_out', 'sample', 'figure')

# A toy set is drawn once, so that an epoch means something.
_TOY_POINTS = 65536
_MOST_POINTS = 10_000_000

_LARGEST = 4096  # side of an image in pixels

DATA_HELP = (
    'digits | binarized_digits | toy:<name> | folder:<path> | tfds:<name>. A '
    'folder holds PNG or JPEG files, one sub-folder a class if there are '
    'classes. Options of a toy set follow its name: '
    'toy:spirals,turns=2,noise=0.05,points=1000.')


class Data(NamedTuple):
  """What `--data` names: a source to train on and one held out."""

  train: Source
  held_out: Source | None

  @property
  def description(self) -> sources.Description:
    return sources.describe(self.train)


def root_key(seed: int, role: str) -> Key:
  """The key of everything that a run of `seed` draws in one of its roles."""
  return jax.random.fold_in(jax.random.key(seed), _ROLES.index(role))


def _embedded(read, argument, options):
  name = read.__name__
  check(not argument, '--data', f'{name} takes no argument', argument)
  _check_unused(name, options, 'image_size', 'held_out')
  return read('train'), read('test')


def _toy(argument, options):
  _check_unused('a toy set', options, 'image_size', 'held_out')
  name, points, own = parse_toy(argument, toy.SETS, _TOY_POINTS)
  seed = options['seed']
  return (toy.toy_source(name, points, 2 * seed, **own),
          toy.toy_source(name, -(-points // 16), 2 * seed + 1, **own))


def parse_toy(
    spec: str, sets: Mapping[str, Callable[..., Any]], points: int
) -> tuple[str, int, dict[str, float]]:
  """Name, number of points and options of <name>,<option>=<number>,...

  Args:
    spec: what is written.
    sets: name -> function, whose keyword-only arguments are the options.
    points: where the option of this name is absent.

  Raises:
    ValueError: an unknown set, or an option it has not.
  """
  name, *given = spec.split(',')
  check_choice('--data', 'the toy set', name, sets)
  allowed = [p.name for p in inspect.signature(sets[name]).parameters.values()
             if p.kind == p.KEYWORD_ONLY]
  options = {}
  for option in given:
    key, _, value = option.partition('=')
    check_choice('--data', f'an option of {name}', key, ['points', *allowed])
    options[key] = _number(key, value)
  count = options.pop('points', points)
  check(count == int(count) and 1 <= count <= _MOST_POINTS, '--data',
        f'points must be a positive whole number up to {_MOST_POINTS}', count)
  noise = options.get('noise', 0.0)
  check(noise >= 0, '--data', 'noise must be non-negative', noise)
  return name, int(count), options


def _number(name, text):
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  check(math.isfinite(number), '--data', f'{name} must be a finite number',
        repr(text))
  return number


def _folder(argument, options):
  from genjax.data import folder  # decodes images, which digits need not

  # An empty path would be the current folder.
  check(argument, '--data', 'folder:<path> must name a folder', "'folder:'")
  source = folder.folder_source(argument, options['image_size'] or 32)
  if not options['held_out']:
    return source, None
  return sources.split_held_out(source, options['held_out'], options['seed'])


def _tfds(argument, options):
  _check_unused('a tfds set', options, 'held_out')
  from genjax.data import tfds  # imports tensorflow_datasets

  return (tfds.tfds_source(argument, 'train', image_size=options['image_size']),
          tfds.tfds_source(argument, 'test', image_size=options['image_size']))


def _check_unused(data, options, *names):
  for name in names:
    check(not options[name], f'--{name}', f'must be absent for {data}',
          options[name])


DATA: Mapping[str, Callable[..., tuple[Source, Source | None]]] = {
    'digits': functools.partial(_embedded, embedded.digits),
    'binarized_digits': functools.partial(_embedded,
                                          embedded.binarized_digits),
    'toy': _toy,
    'folder': _folder,
    'tfds': _tfds,
}


def open_data(
    spec: str, *, image_size: int | None, held_out: float, seed: int
) -> Data:
  """Opens what `--data` names.

  Args:
    spec: see DATA_HELP.
    image_size: side of the images of a folder (32 where None); resizes a
      tensorflow-datasets set where given.
    held_out: share of a folder's files kept out of training; other data have
      a test split of their own.
    seed: of the toy sets' draw and of the choice of held-out files.

  Raises:
    ValueError: unknown or unreadable data, or an option that is not theirs.
  """
  kind, _, argument = spec.partition(':')
  check_choice('--data', 'the part before ":"', kind, DATA)
  # A slip of the hand would fill the memory.
  check((image_size or 1) <= _LARGEST, '--image_size',
        f'must be at most {_LARGEST}', image_size)
  options = {'image_size': image_size, 'held_out': held_out, 'seed': seed}
  return Data(*DATA[kind](argument, options))


def reopen_data(settings: Mapping[str, Any]) -> Data:
  """The data of a run, by its settings.

  Raises:
    ValueError: they cannot be read, or are no longer as many.
  """
  data = open_data(settings['data'], image_size=settings['image_size'],
                   held_out=settings['held_out'], seed=settings['seed'])
  check(data.description.size == settings['num_examples'], '--workdir',
        f'is of a run whose {settings["data"]!r} had '
        f'{settings["num_examples"]} examples for training: they must be what '
        'they were',
        data.description.size)
  return data


def data_std(source: Source, *, most: int = 2000) -> float:
  """Standard deviation of the data in model range, of at most `most` items."""
  indices = np.linspace(0, len(source) - 1, min(most, len(source))).astype(int)
  x = pipeline.full_batch(sources.subset(source, indices))['x']
  return float(np.std(x, dtype=np.float64))


def define_data_flags(default: str | None) -> None:
  """Flags of every script that reads data."""
  flags.DEFINE_string('data', default, DATA_HELP)
  flags.DEFINE_integer('image_size', None, 'side of the images of a folder, '
                       'in pixels; resizes a tfds set too', lower_bound=1)
  flags.DEFINE_float('held_out', 0.0, 'share of a folder kept out of training: '
                     'its test set', lower_bound=0, upper_bound=0.9)


def define_training_flags() -> None:
  """Flags of every script that trains."""
  define_data_flags(None)
  flags.DEFINE_integer('batch_size', None, 'over all devices', lower_bound=1)
  flags.DEFINE_integer('steps', None, 'length of the whole run', lower_bound=1)
  flags.DEFINE_float('learning_rate', None, 'peak learning rate')
  flags.register_validator(
      'learning_rate', lambda v: v is None or 0 < v < np.inf,
      'must be positive and finite')
  flags.DEFINE_enum('parallel', 'jit', ['jit', 'fsdp', 'pmap'],
                    'how the devices share a step: sharded jit, the same with '
                    'sharded parameters, or pmap')
  flags.DEFINE_integer('log_every', None, 'steps between lines in the logs',
                       lower_bound=1)
  flags.DEFINE_integer('save_every', None, 'steps between checkpoints, sample '
                       'grids and held-out losses', lower_bound=1)


def define_run_flags(workdir: str) -> None:
  """Flags of every script; `workdir` says what the folder is for."""
  flags.DEFINE_string('workdir', None, workdir)
  flags.mark_flag_as_required('workdir')
  flags.register_validator('workdir', lambda v: v != '', 'must name a folder')
  flags.DEFINE_integer('seed', 0, 'of everything random', lower_bound=0,
                       upper_bound=2**31 - 1)


def run(
    main: Callable[..., None], argv: list[str] | None = None, *,
    words: Collection[str] = (),
) -> None:
  """Runs a script: one clear line and exit status 1 where something is wrong.

  `--verbosity=1` shows where it came from.

  Args:
    main: the script.
    argv: its name and flags; those of the command line where None.
    words: of which main takes one, that stands among the flags.
  """
  argv = sys.argv if argv is None else argv
  name = os.path.splitext(os.path.basename(argv[0]))[0]

  def fail(message):
    print(f'{name}: {message}', file=sys.stderr)
    sys.exit(1)

  def guarded(argv):
    given = argv[1:]
    if words and (len(given) != 1 or given[0] not in words):
      fail(f'must be told one of {", ".join(words)}, got '
           f'{" ".join(given) or "nothing"}')
    if given and not words:
      fail(f'stray argument {given[0]!r}: flags are written --name=value')
    _use_compile_cache()
    if not logging.level_debug():
      # jax tells every user of absl's logs which accelerators it has not.
      std_logging.getLogger('jax').setLevel(std_logging.WARNING)
    try:
      main(*given)
    except KeyboardInterrupt:
      print(f'{name}: interrupted', file=sys.stderr)
      sys.exit(130)
    except (ValueError, OSError, RuntimeError) as error:
      logging.debug('raised here', exc_info=True)
      fail(_first_line(error))

  def parse(argv):
    try:
      return flags.FLAGS(argv)
    except flags.Error as error:
      fail(_first_line(error))

  app.run(guarded, argv=argv, flags_parser=parse)


def _first_line(error: Exception) -> str:
  lines = str(error).strip().splitlines()
  return lines[0] if lines else type(error).__name__


def _use_compile_cache() -> None:
  """Keeps compiled programs between runs, so that the next starts at once."""
  if jax.config.values['jax_compilation_cache_dir'] is None:
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folder = os.path.join(home, 'genjax')
    try:
      os.makedirs(folder, exist_ok=True)
    except OSError:
      return  # nothing is lost but time
    jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def write_json(path: str, value: Any) -> None:
  """Writes `value` whole or not at all; what is not finite becomes null."""
  with open(path + '.partial', 'w') as file:
    json.dump(_finite(value), file, indent=2, allow_nan=False)
    file.write('\n')
  os.replace(path + '.partial', path)


def _finite(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _finite(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_finite(item) for item in value]
  return None if isinstance(value, float) and not np.isfinite(value) else value


def read_json(path: str) -> Any:
  """Reads a JSON file.

  Raises:
    ValueError: it holds something else.
  """
  with open(path) as file:
    try:
      return json.load(file)
    except ValueError as error:
      raise ValueError(f'{path!r} must hold JSON, got {error}') from error


def open_workdir(
    workdir: str, settings: Mapping[str, Any], free: tuple[str, ...] = ()
) -> None:
  """Makes `workdir` with its flags.json, or checks that it is the same run's.

  Args:
    workdir: the folder.
    settings: name -> JSON value, everything that decides the run.
    free: names that may change between runs in one workdir.

  Raises:
    ValueError: the workdir holds a run of other settings.
    OSError: it cannot be written.
  """
  path = os.path.join(workdir, 'flags.json')
  if os.path.exists(path):
    before = read_json(path)
    for name in sorted(settings.keys() | before.keys()):
      check(name in free or before.get(name) == settings.get(name),
            '--workdir',
            f'{workdir!r} holds a run with {name}={before.get(name)!r}; take '
            'another workdir or the same flags', repr(settings.get(name)))
  os.makedirs(os.path.join(workdir, 'figures'), exist_ok=True)
  write_json(path, dict(settings))


def read_settings(workdir: str) -> dict[str, Any]:
  """The settings of the run in `workdir`.

  Raises:
    ValueError: there is no run, or its classes have no names.
  """
  path = os.path.join(workdir, 'flags.json')
  check(os.path.isfile(path), '--workdir',
        'must be the folder of a run (it holds flags.json)', repr(workdir))
  settings = read_json(path)
  # sample leaves a flags.json too, beside a folder of pictures.
  check('num_classes' in settings, '--workdir',
        f'{workdir!r} must be the folder of a training run', 'other flags')
  names, num = settings.get('class_names'), settings['num_classes']
  check(isinstance(names, list) and all(isinstance(n, str) for n in names)
        and len(set(names)) == len(names) and num in (None, len(names)),
        '--workdir', f'class_names in {path!r} must be different names, one a '
        'class', f'{names} of {num} classes')
  return settings
