"""Whether the devices at hand keep what is promised of a training run.

It is trained in several ways that are to be one: again, stopped and gone on
with, by every layout, on one device alone.
"""

import dataclasses
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import numpy as np

from genjax.files import write_json
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.diffusion import TASK
from genjax.runs.diffusion_settings import Settings
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run
from genjax.runs.task import Data
from genjax.runs.task import Session
from genjax.training.logs import read_metrics
from genjax.training.loop import Hook

_STOP = 17  # steps after which a run is stopped
_SAMPLES = 8
# Relative differences of losses, and those of samples in [-1, 1], between
# layouts: sums in another order.
LOSSES, SAMPLES = 1e-5, 1e-4


class _Way(NamedTuple):
  """One way to train."""

  changes: Mapping[str, Any] = {}  # of the settings
  devices: int | None = None
  stopped: bool = False
  exact: bool = False  # whether it is the same bit for bit


class _Stop(Exception):
  """In place of a kill."""


def ways(num_devices: int) -> dict[str, _Way]:
  """Those that so many devices allow, by name; the first is the measure."""
  many = {} if num_devices == 1 else {
      'one device': _Way(devices=1),
      'fsdp': _Way({'parallel': 'fsdp'}), 'pmap': _Way({'parallel': 'pmap'})}
  split = {} if num_devices % 2 else {
      'tensor parallel': _Way({'tensor_parallel': 2})}
  alone = jax.process_count() > 1  # no process can be left out
  return {'at once': _Way(exact=True), 'again': _Way(exact=True),
          'stopped, gone on': _Way(stopped=True, exact=True),
          **{name: way for name, way in many.items()
             if not (alone and way.devices)}, **split}


def report(
    settings: Settings, data: Data, workdir: str, say: Callable[[str], Any]
) -> tuple[Table, Sequence[str]]:
  """Trains in every way, in float32 products; writes report.json.

  Args:
    settings: of a diffusion run of more than 17 steps.
    data: of it.
    workdir: the folder of a run each.
    say: is told in a line what is trained.

  Returns:
    A row a way: largest difference of losses, relative, and of samples; and
    the ways whose differences are larger than what is promised.
  """
  settings = dataclasses.replace(settings, log_every=1, save_every=_STOP,
                                 scored=0)
  rows, broken, first = [], [], None
  with jax.default_matmul_precision('highest'):
    for name, way in ways(len(jax.devices())).items():
      say(f'training {name}')
      found = _train(settings, way, data, os.path.join(
          workdir, name.replace(',', '').replace(' ', '_')))
      first = found if first is None else first
      apart = _apart(found, first)
      promised = (0.0, 0.0) if way.exact else (LOSSES, SAMPLES)
      # Not <=: of NaN neither is true.
      kept = all(a <= b for a, b in zip(apart, promised))
      broken += [] if kept else [name]
      rows.append((name, *apart, 'kept' if kept else 'broken'))
  table = make_table(['way', Column('losses', 'losses apart', '.1e'),
                      Column('samples', 'samples apart', '.1e'), 'promise'],
                     rows)
  write_json(os.path.join(workdir, 'report.json'), {
      'device': jax.devices()[0].device_kind, 'devices': len(jax.devices()),
      'jax': jax.__version__, 'ways': records(table)})
  return table, broken


def _train(
    settings: Settings, way: _Way, data: Data, workdir: str
) -> tuple[np.ndarray, np.ndarray]:
  """Losses of all steps, and samples of the last weights."""
  settings = dataclasses.replace(settings, **way.changes)
  task = TASK._replace(loss=lambda settings, model: TASK.loss(
      settings, model)._replace(devices=way.devices))

  def stop(session: Session) -> Sequence[Hook]:
    del session

    def hook(state: Any, step: int) -> None:
      if step > _STOP and step < settings.steps:
        raise _Stop

    return [Hook(_STOP + 1, hook)]

  if way.stopped:
    try:
      fit_run(task, settings, data, workdir, hooks=stop)
    except _Stop:
      pass
  fit_run(task, settings, data, workdir)
  losses = [record['loss'] for record in read_metrics(
      os.path.join(workdir, 'metrics.jsonl'))]
  run: Any = open_run(workdir, 'raw')
  x = run.sample(keys.key(settings.seed, 'sample'), (_SAMPLES,))
  return np.asarray(losses, float), np.asarray(x)


def _apart(
    found: tuple[np.ndarray, np.ndarray], first: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
  losses = np.abs(found[0] - first[0]) / np.abs(first[0])
  return float(losses.max()), float(np.abs(found[1] - first[1]).max())
