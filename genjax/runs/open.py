"""A trained model by the folder of its run, without its data or optimizer."""

import contextlib
import dataclasses
import importlib
import os
from typing import Any, Mapping

import jax
import optax

from genjax import store
from genjax.checks import check
from genjax.checks import check_choice
from genjax.runs import keys
from genjax.runs import settings as run_settings
from genjax.runs import workdir as workdirs
from genjax.runs.snapshots import reconstruct
from genjax.runs.snapshots import width_of
from genjax.runs.task import Model
from genjax.runs.task import Run
from genjax.runs.task import Task
from genjax.training.averages import name_of
from genjax.training.averages import widths_of
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import init_state

# Kind -> module whose TASK it is, imported when a run of it is opened.
KINDS: Mapping[str, str] = {
    'classifier': 'genjax.runs.classifier',
    'density': 'genjax.runs.density',
    'diffusion': 'genjax.runs.diffusion',
    'vae': 'genjax.runs.vae',
}


def open_run(
    workdir: str, weights: str = 'ema', *, step: int | None = None,
    settings: Mapping[str, Any] = {}, kinds: Mapping[str, str] = KINDS
) -> Run:
  """The trained model that `workdir` holds.

  Its settings and weights are all that is read: the data may be gone.

  Args:
    workdir: the folder of a run, or an address as of `store.at_hand`.
    weights: 'ema', or another average that the kind keeps, by its name; 'raw'
      for the params of the last step; 'ema:0.07' and the like for a power
      average of any width, of a run that keeps some (see `snapshots`), at its
      last snapshot. Where a kind keeps no average, 'ema' is 'raw'.
    step: of a checkpoint that is kept; absent, the last one, or the best where
      the kind ranks them.
    settings: name -> value of free settings, in place of those of the run:
      the sampler of a diffusion model, and the like.
    kinds: kind -> module that defines its `TASK`.

  Raises:
    ValueError: there is no run, no checkpoint, none of `step`, no such average,
      the settings are damaged or of an unknown kind, or one that is given is
      not free or out of range.
    RuntimeError: every checkpoint is damaged, or a snapshot is.
  """
  with store.at_hand('workdir', workdir) as folder:
    return _open(folder, weights, step, settings, kinds)


def _open(
    workdir: str, weights: str, step: int | None, settings: Mapping[str, Any],
    kinds: Mapping[str, str]
) -> Run:
  """`open_run` of a folder of this machine."""
  written = workdirs.read(workdir)
  check_choice(repr(written.path), 'kind', written.kind, kinds)
  task: Task = importlib.import_module(kinds[written.kind]).TASK
  used = _replaced(workdirs.settings_of(written, task.Settings), settings,
                   task.kind)
  model = task.build(used)
  if not model.averages and weights == 'ema':
    weights = 'raw'
  width = width_of(weights)
  weights = weights if width is None else name_of(width)
  check(width is not None or weights in ('raw', *model.averages), 'weights',
        f'must be one of {", ".join(["raw", *model.averages])} or ema:<width>',
        repr(weights))
  shapes = weight_shapes(used, model)
  found, step = _restore(workdir, written.run, task, shapes, step)
  kept = {'raw': found['params'], **found['averages']}
  if width is not None and weights not in kept:
    kept[weights], step = reconstruct(
        workdir, written.run, shapes['params'], widths_of(model.averages),
        step, width)
  params = jax.device_put(kept[weights])
  functions = model.functions(params)
  return Run(task, used, params, step, **functions._asdict())


def _replaced(settings: Any, given: Mapping[str, Any], kind: str) -> Any:
  """`settings` with the free ones that are `given`, each checked."""
  rules = run_settings.rules(type(settings))
  for name, value in given.items():
    check(name in rules and rules[name].free, name, f'must be absent: a run of '
          f'{kind} has no setting of this name that may change', repr(value))
  used = dataclasses.replace(settings, **given)
  run_settings.check_settings(used)
  return used


def weight_shapes(settings: Any, model: Model) -> dict[str, Any]:
  """{'params', 'averages'} of a model, their shapes; nothing is computed."""
  # jax traces a function that it has seen only once.
  params = jax.eval_shape(model.init, keys.key(settings.seed, 'init'), None)
  state = jax.eval_shape(lambda params: init_state(
      params, optax.identity(), model.averages), params)
  return {'params': state.params, 'averages': state.averages}


def _restore(
    workdir: str, run: str, task: Task, target: Mapping[str, Any],
    step: int | None
) -> tuple[dict[str, Any], int]:
  with contextlib.closing(Checkpointer(
      os.path.join(workdir, 'checkpoints'), run=run)) as checkpointer:
    if step is not None:
      steps = checkpointer.steps()
      check(step in steps, 'step', f'must be that of a checkpoint that '
            f'{workdir!r} keeps, {", ".join(map(str, steps)) or "none"}', step)
    elif task.opens_best:
      step = checkpointer.best_step()
    restored = checkpointer.restore_fields(target, step)
  if restored is None:
    raise ValueError(f'workdir: {workdir!r} must hold a checkpoint: train it '
                     'until it saves one, got none')
  return restored
