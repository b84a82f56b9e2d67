"""What the sizes of the presets take on a machine: computed, not measured.

The step of each preset is compiled for the devices, those of a TPU that is not
there included (`machine.described`). Memory is the compiler's own account of a
device, arithmetic XLA's count, and time what that takes at a given share of the
published peak: a guess that a measurement replaces.
"""

import dataclasses
from typing import Any, Callable

import jax
import numpy as np

from genjax import machine
from genjax.checks import check
from genjax.data import pipeline
from genjax.data.sources import ArraySource
from genjax.reports import benchmark
from genjax.reports import table as tables
from genjax.runs import keys
from genjax.runs.diffusion import TASK
from genjax.runs.diffusion_settings import choose
from genjax.runs.prepare import prepare
from genjax.runs.prepare import state_shapes
from genjax.training.work import work_of

SHARE = 0.4  # of the peak, at which times are told
_CLASSES = 1000
_MILLION, _GIB = 1e6, 2**30

_BOTH = ('jit', 'fsdp')
# Of a preset the side of its images, its classes, and the layouts: TPU's
# compiler takes a quarter of an hour for each of a U-Net of EDM's size.
_SIZES = {
    'cifar10': (32, 10, _BOTH[:1]), 'imagenet64': (64, _CLASSES, _BOTH[:1]),
    'dit_s': (64, _CLASSES, _BOTH), 'dit_b': (64, _CLASSES, _BOTH),
    'dit_l': (64, _CLASSES, _BOTH), 'dit_xl': (64, _CLASSES, _BOTH)}
EACH = 16  # examples on a device

COLUMNS = (
    'case', tables.Column('params', 'parameters, millions', '.4g'),
    tables.Column('state', 'state, GiB', '.3g'),
    tables.Column('memory', 'in all, GiB', '.3g'),
    tables.Column('flop', 'GFLOP an example', '.4g'),
    tables.Column('rate', f'examples/s at {SHARE:.0%} of the peak', '.4g'))


def sizes(settings: benchmark.Settings, say: Callable[[str], Any]
          ) -> tables.Table:
  """A row a preset and layout, of a batch of 16 on each device.

  `state` and `in all` are bytes of a device: of parameters, averages and
  optimizer, and of all that a step holds; both are absent where the compiler
  says that it does not fit.

  Raises:
    ValueError: no preset of the name that is asked for.
  """
  if settings.topology:
    with machine.described(settings.topology):
      return _table(settings, say)
  return _table(settings, say)


def _table(settings: benchmark.Settings, say: Callable[[str], Any]
           ) -> tables.Table:
  names = [name for name in _SIZES if settings.only in name]
  check(bool(names), 'only', f'must be a part of one of {", ".join(_SIZES)}',
        repr(settings.only))
  rows, where = [], f', {settings.topology}' if settings.topology else ''
  for name in names:
    for layout in _SIZES[name][2][:len(machine.devices())]:
      say(f'compiling {name}, {layout}')
      rows.append((f'{name}, {layout}{where}', *_row(name, layout)))
  return tables.make_table(COLUMNS, rows)


def _row(name: str, layout: str) -> tuple[float | None, ...]:
  side, classes, _ = _SIZES[name]
  settings = dataclasses.replace(
      choose(name, {}), shape=(side, side, 3), parallel=layout,
      class_names=tuple(map(str, range(classes))),
      batch_size=EACH * len(machine.devices()))
  state, program = _compiled(settings)
  count = sum(x.size for x in jax.tree.leaves(state.params)) / _MILLION
  if program is None:
    return count, None, None, None, None
  held = program.executable.memory_analysis()
  work = work_of(program, len(machine.devices()), settings.dtype)
  rate = (None if work is None or work.peak is None else
          SHARE * work.peak / work.flop * settings.batch_size)
  return (count, held.argument_size_in_bytes / _GIB,
          (held.argument_size_in_bytes + held.temp_size_in_bytes
           + held.output_size_in_bytes - held.alias_size_in_bytes) / _GIB,
          None if work is None else work.flop / settings.batch_size / 1e9, rate)


def _compiled(settings: Any) -> tuple[Any, Any]:
  """(shapes of the state, the program); None of what does not fit."""
  model, objective, compiled = prepare(TASK, settings)
  state = state_shapes(settings, model, objective)
  key = jax.eval_shape(lambda: keys.key(0, 'training'))
  size = settings.batch_size
  batch = pipeline.batch_at(ArraySource({
      'image': np.zeros((size, *settings.shape), np.uint8),
      'label': np.zeros(size, np.int32)}, settings.class_names), size, 0,
                            seed=0, augment=objective.augment)
  try:
    return state, compiled.program(state, key, batch)
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    return state, None
