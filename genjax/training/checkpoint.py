"""States on disk: written in the background, verified when read.

Orbax writes and prunes; what it lacks is a checksum (a flipped bit restores
silently), so a sha256 of every array travels in the metadata.
"""

import contextlib
import glob
import hashlib
import json
import logging as std_logging
import math
import os
import shutil
import sys
import time
from typing import Any

from absl import logging
import jax
import numpy as np

from genjax.checks import check
from genjax.types import PyTree


class Checkpointer:
  """Checkpoints of one run: the latest `keep` and the best one.

  Arrays are written and read as numpy, so the number of devices may change
  from run to run.
  """

  def __init__(self, directory: str, *, keep: int = 2):
    check(keep >= 1, 'Checkpointer', 'keep must be at least 1', keep)
    self._directory = os.path.abspath(directory)
    self._keep = keep
    self._opened: tuple[Any, Any] | None = None

  def save(self, step: int, state: PyTree, metric: float | None = None) -> None:
    """Starts to write `state`, and forgets checkpoints of `step` and later.

    Those are damaged ones, or of a future that this run has gone back on.
    Returns once the arrays are safe in memory; an error of the disk comes
    with the next call.

    Args:
      step: at least 1, the name of the checkpoint.
      state: pytree of numpy arrays, not to be changed until `wait`.
      metric: a held-out loss; the smallest finite one marks the best.
    """
    manager, ocp = self._manager()
    manager.wait_until_finished()
    for later in [s for s in manager.all_steps() if s >= step]:
      manager.delete(later)
    metrics = None
    if metric is not None and math.isfinite(metric):
      metrics = {'metric': float(metric)}  # orbax ranks a NaN as the best
    manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            meta=ocp.args.JsonSave({'leaves': _describe(state)})),
        metrics=metrics,
        force=True)

  def restore(
      self, target: PyTree, step: int | None = None
  ) -> tuple[PyTree, int] | None:
    """The latest whole checkpoint, or that of `step`.

    Args:
      target: pytree of arrays or `jax.ShapeDtypeStruct`s to be filled. A leaf
        with a sharding is placed by it; any other becomes a numpy array.
      step: the one to read, None for the latest that is not damaged.

    Returns:
      (state, step), or None if nothing has been saved.

    Raises:
      ValueError: if the arrays of the target are not those of the checkpoint,
        or there is none of `step`.
      RuntimeError: if every checkpoint (or that of `step`) is damaged.
    """
    steps = self.steps()
    if step is not None:
      check(step in steps, 'restore', f'step must be one of {steps}', step)
      steps = [step]
    for candidate in reversed(steps):
      state, fault = self._read(candidate, target)
      if fault is None:
        return state, candidate
      logging.warning('checkpoint %d in %s is damaged (%s)%s', candidate,
                      self._directory, fault,
                      ', falling back' if candidate != steps[0] else '')
    if steps:
      raise RuntimeError(
          f'restore: no whole checkpoint left in {self._directory}, steps '
          f'{steps} are damaged; remove it to start again')
    return None

  def steps(self) -> list[int]:
    """The steps on disk, rising; some may be damaged."""
    if not (os.path.isdir(self._directory)
            and any(map(str.isdigit, os.listdir(self._directory)))):
      return []  # without the half second that importing orbax takes
    return sorted(self._manager()[0].all_steps())

  def best_step(self) -> int | None:
    """The step of the smallest metric on disk, None if none has one."""
    return self._manager()[0].best_step() if self.steps() else None

  def wait(self) -> None:
    """Returns once the last `save` is whole on disk."""
    if self._opened is not None:
      self._opened[0].wait_until_finished()

  def close(self) -> None:
    """Waits, and frees the threads; the next call opens it again."""
    if self._opened is not None:
      self._opened[0].close()
    self._opened = None

  def _manager(self):
    """The orbax manager and module, made at first use."""
    if self._opened is None:
      logging.get_absl_logger().addFilter(_silence_orbax)
      import orbax.checkpoint as ocp
      _drop_damaged_metrics(self._directory)
      policies = ocp.checkpoint_managers

      def metric_of(metrics):
        return metrics['metric']

      options = ocp.CheckpointManagerOptions(
          best_fn=metric_of,
          best_mode='min',
          preservation_policy=policies.AnyPreservationPolicy([
              policies.LatestN(n=self._keep),
              policies.BestN(get_metric_fn=metric_of, reverse=True, n=1,
                             keep_checkpoints_without_metrics=False)]))
      self._opened = ocp.CheckpointManager(self._directory,
                                           options=options), ocp
    return self._opened

  def _read(self, step: int, target: PyTree) -> tuple[PyTree, str | None]:
    """(state, None), or (None, what is wrong with the checkpoint)."""
    manager, ocp = self._manager()
    try:
      meta = manager.restore(step, args=ocp.args.Composite(
          meta=ocp.args.JsonRestore()))['meta']['leaves']
    except Exception as error:  # orbax has no one type for what it cannot read
      return None, _one_line(error)
    _check_fits(meta, target)
    empty = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), target)
    with _stragglers_ignored():
      try:
        state = manager.restore(step, args=ocp.args.Composite(
            state=ocp.args.StandardRestore(empty)))['state']
      except Exception as error:
        time.sleep(0.2)  # for the stragglers
        return None, _one_line(error)
    found = _describe(state)
    wrong = [name for name in meta if found[name] != meta[name]]
    if wrong:
      return None, f'checksum of {wrong[0]}'
    return jax.tree.map(_place, state, target), None


def _describe(state: PyTree) -> dict[str, list[Any]]:
  """Shape, dtype and sha256 of every leaf, by its path."""
  return {
      jax.tree_util.keystr(path): [
          list(x.shape), str(x.dtype),
          # As bytes: bfloat16 is no dtype of python's buffers.
          hashlib.sha256(np.ravel(x).view(np.uint8).data).hexdigest()]
      for path, x in jax.tree_util.tree_leaves_with_path(state)}


def _check_fits(meta: dict[str, list[Any]], target: PyTree) -> None:
  """Raises ValueError unless `target` has the saved leaves.

  Orbax would cast a dtype silently.
  """
  wanted = {jax.tree_util.keystr(path): [list(x.shape), str(x.dtype)]
            for path, x in jax.tree_util.tree_leaves_with_path(target)}
  saved = {name: leaf[:2] for name, leaf in meta.items()}
  for name in sorted(saved.keys() | wanted.keys()):
    check(saved.get(name) == wanted.get(name), 'restore',
          f'{name} must be {saved.get(name, "absent")} as in the checkpoint',
          wanted.get(name, 'none'))


def _place(x: np.ndarray, target: Any) -> Any:
  """Moves `x` to where `target` lives, if it lives on devices."""
  sharding = getattr(target, 'sharding', None)
  return x if sharding is None else jax.device_put(x, sharding)


def _one_line(error: Exception) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:60]}...'


@contextlib.contextmanager
def _stragglers_ignored():
  """Drops tracebacks of reads that end after another has failed.

  There is one an array, and they bury the line that says what is wrong.
  """
  hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
  try:
    yield
  finally:
    sys.unraisablehook = hook


def _drop_damaged_metrics(directory: str) -> None:
  """Removes unreadable metrics: orbax would refuse the whole directory."""
  for path in glob.glob(os.path.join(glob.escape(directory), '*', 'metrics')):
    if not os.path.basename(os.path.dirname(path)).isdigit():
      continue  # being written, perhaps by a run that goes on elsewhere
    try:
      with open(os.path.join(path, 'metrics')) as file:
        float(json.load(file)['metric'])
    except (OSError, ValueError, KeyError, TypeError):
      logging.warning('metrics in %s are damaged: it is not ranked', path)
      shutil.rmtree(path)


def _silence_orbax(record: std_logging.LogRecord) -> bool:
  """Drops what orbax tells of its progress into the log of every absl user."""
  return (record.levelno >= std_logging.ERROR
          or f'{os.sep}orbax{os.sep}' not in record.pathname)
