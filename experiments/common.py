"""What scripts share that are not yet kinds of runs: flags, workdirs."""

import json
import os
from typing import Any, Mapping

from absl import flags
import jax
import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.runs import fields
from genjax.types import Key

# What a run draws at random. Each has a stream of its own for every seed, so
# that neighbouring seeds share none; new ones go to the end.
_ROLES = ('init', 'training', 'grid', 'held_out', 'sample', 'figure')


def root_key(seed: int, role: str) -> Key:
  """The key of everything that a run of `seed` draws in one of its roles."""
  return jax.random.fold_in(jax.random.key(seed), _ROLES.index(role))


def reopen_data(settings: Mapping[str, Any]) -> named.Data:
  """The data of a run, by its settings.

  Raises:
    ValueError: they cannot be read, or are no longer as many.
  """
  data = named.open_data(settings['data'], image_size=settings['image_size'],
                         held_out=settings['held_out'], seed=settings['seed'])
  check(data.description.size == settings['num_examples'], 'workdir',
        f'is of a run whose {settings["data"]!r} had '
        f'{settings["num_examples"]} examples for training: they must be what '
        'they were',
        data.description.size)
  return data


def define_data_flags(default: str | None) -> None:
  """Flags of every script that reads data."""
  flags.DEFINE_string('data', default, fields.DATA)
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
            'workdir',
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
  check(os.path.isfile(path), 'workdir',
        'must be the folder of a run (it holds flags.json)', repr(workdir))
  settings = read_json(path)
  # sample leaves a flags.json too, beside a folder of pictures.
  check('num_classes' in settings, 'workdir',
        f'{workdir!r} must be the folder of a training run', 'other flags')
  names, num = settings.get('class_names'), settings['num_classes']
  check(isinstance(names, list) and all(isinstance(n, str) for n in names)
        and len(set(names)) == len(names) and num in (None, len(names)),
        'workdir', f'class_names in {path!r} must be different names, one a '
        'class', f'{names} of {num} classes')
  return settings
