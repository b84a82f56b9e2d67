"""States on disk: written in the background, verified when read.

Orbax writes and prunes; what it lacks is a checksum (a flipped bit restores
silently), so a sha256 of every array travels in the metadata, which has one of
its own and says of which run and step it is. A checkpoint holds the weights
(params and averages) apart from what training needs beside them: who samples
needs no optimizer. Arrays lie there by the paths of their leaves.
"""

from concurrent import futures
import math
import os
import shutil
import tempfile
import time
from typing import Any, Mapping

from absl import logging
import jax
import numpy as np

from genjax import store
from genjax.checks import check
from genjax.training import leaves
from genjax.training import orbax_ways
from genjax.training.state import State
from genjax.types import PyTree

# What a path may not hold for orbax: it globs it, or takes it for a store's.
_ODD = frozenset('[]*?\\:')
_FROZEN = 'frozen'  # folder of what is written once a run
_MARGIN = 2**20  # bytes that a checkpoint takes beside its arrays, at most


class Checkpointer:
  """Checkpoints of one run: the latest `keep`, the best one, and some more.

  Arrays are written and read as numpy, so the number of devices may change
  from run to run.
  """

  def __init__(self, directory: str, *, run: str = '', keep: int = 2,
               every: int = 0):
    """Touches nothing yet.

    Args:
      directory: of the checkpoints, each a folder called by its step.
      run: identity of the run; checkpoints of another are refused.
      keep: how many of the latest stay.
      every: those of multiples of this step stay for ever; 0 for none.

    Raises:
      ValueError: keep is not positive.
    """
    check(keep >= 1, 'Checkpointer', 'keep must be at least 1', keep)
    self._directory = os.path.abspath(directory)
    self._run = run
    self._keep = keep
    self.every = every
    self._opened: tuple[Any, Any] | None = None
    self._link: tempfile.TemporaryDirectory[str] | None = None
    self._proven = False  # whether a save of this process has been read back
    self._sent: futures.Future[None] | None = None

  def save(self, step: int, state: State, metric: float | None = None) -> None:
    """Starts to write `state`, and forgets checkpoints of `step` and later.

    Those are damaged ones, or of a future that this run has gone back on.
    Returns once the arrays are safe in memory; an error of the disk comes
    with the next call. The first save is waited for and read back.

    Args:
      step: at least 1, the name of the checkpoint.
      state: of numpy arrays, not to be changed until `wait`. What is frozen is
        written with the first save of a run only.
      metric: a validation loss; the smallest finite one marks the best.

    Raises:
      OSError: the disk has no room for it, or what has been written first
        cannot be read back.
    """
    self.wait()
    if store.find(self._directory)[0] is not None and jax.process_index() > 0:
      return  # the first one has it, and sends it
    manager, ocp = self._manager()
    self._check_room(step, state)
    for later in [s for s in manager.all_steps() if s >= step]:
      manager.delete(later)
    metrics = None
    if metric is not None and math.isfinite(metric):
      metrics = {'metric': float(metric)}  # orbax ranks a NaN as the best
    parts = {part: leaves.by_path(tree)
             for part, tree in _parts_of(state._asdict()).items()}
    meta = {'step': step, 'run': self._run, 'parts': {
        part: leaves.describe(arrays) for part, arrays in parts.items()}}
    frozen = parts.pop(_FROZEN)
    if not self._proven:
      self._save_frozen(frozen)
    manager.save(
        step,
        args=ocp.args.Composite(
            meta=ocp.args.JsonSave(
                {**meta, 'checksum': leaves.checksum(meta)}),
            **{part: ocp.args.StandardSave(x) for part, x in parts.items()}),
        metrics=metrics,
        force=True)
    if not self._proven:
      manager.wait_until_finished()
      _, fault = self._read(step, state._asdict())
      if fault is not None:
        raise OSError(f'save: checkpoint {step} in {self._directory} cannot be '
                      f'read back ({fault})')
      self._proven = True
    if store.find(self._directory)[0] is not None:
      sender = futures.ThreadPoolExecutor(1)
      self._sent = sender.submit(self._send)
      sender.shutdown(wait=False)

  def _check_room(self, step: int, state: State) -> None:
    """Raises OSError where the disk is too full: orbax would say it in pages.

    Checkpoints of before are whole still.
    """
    size = _MARGIN + sum(x.nbytes for x in jax.tree.leaves(state))
    free = shutil.disk_usage(self._directory).free
    if size > free:
      raise OSError(
          f'save: checkpoint {step} takes {size / 2**20:.1f} MiB, and '
          f'{self._directory} has room for {free / 2**20:.1f}: make room, and '
          'the same command goes on')

  def restore(
      self, target: State, step: int | None = None
  ) -> tuple[State, int] | None:
    """The latest whole checkpoint, or that of `step`.

    Args:
      target: `State` of arrays or `jax.ShapeDtypeStruct`s to be filled. A leaf
        with a sharding is placed by it; any other becomes a numpy array.
      step: the one to read, None for the latest that is not damaged.

    Returns:
      (state, step), or None if nothing has been saved.

    Raises:
      ValueError: if the arrays of the target are not those of the checkpoint,
        as with another optimizer; if it is of another run, or of another step
        than its name says, or there is none of `step`.
      RuntimeError: if every checkpoint (or that of `step`) is damaged.
    """
    found = self._restore(target._asdict(), step)
    return found and (State(**found[0]), found[1])

  def restore_fields(
      self, target: Mapping[str, PyTree], step: int | None = None
  ) -> tuple[dict[str, PyTree], int] | None:
    """As `restore`, of some fields alone: weights need no optimizer.

    Args:
      target: {'params': ..., 'averages': {name: ...}}, or {'step': ...,
        'opt_state': ..., 'skipped': ...}, as `restore` takes them.
      step: see `restore`.

    Raises:
      ValueError, RuntimeError: see `restore`.
    """
    return self._restore(target, step)

  def keeps(self, step: int) -> bool:
    """Whether a checkpoint of `step` stays for ever."""
    return self.every > 0 and step % self.every == 0

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
    """Returns once the last `save` is whole on disk, and on its store."""
    sent, self._sent = self._sent, None
    if sent is not None:
      sent.result()
    if self._opened is not None:
      self._opened[0].wait_until_finished()

  def close(self) -> None:
    """Waits, and frees the threads; the next call opens it again."""
    try:
      self.wait()
    finally:
      if self._opened is not None:
        self._opened[0].close()
      if self._link is not None:
        self._link.cleanup()
      self._opened = self._link = None

  def _send(self) -> None:
    """Sends the last save to the store."""
    self._manager()[0].wait_until_finished()
    store.push(self._directory)

  def _processes(self, ocp: Any) -> Any:
    """Which processes share the directory: each has its own copy of a store."""
    here = jax.process_index()
    return ocp.options.MultiprocessingOptions() if (
        store.find(self._directory)[0] is None) else (
            ocp.options.MultiprocessingOptions(here, {here}, f'of_{here}'))

  def _manager(self):
    """The orbax manager and module, made at first use."""
    if self._opened is None:
      logging.get_absl_logger().addFilter(orbax_ways.silence)
      import orbax.checkpoint as ocp
      orbax_ways.drop_damaged_metrics(self._directory)
      policies = ocp.checkpoint_managers

      def metric_of(metrics):
        return metrics['metric']

      staying = [
          policies.LatestN(n=self._keep),
          policies.BestN(get_metric_fn=metric_of, reverse=True, n=1,
                         keep_checkpoints_without_metrics=False)]
      if self.every:
        staying.append(policies.EveryNSteps(interval_steps=self.every))
      processes = self._processes(ocp)
      if processes.active_processes:  # orbax makes none for some of them
        os.makedirs(self._directory, exist_ok=True)
      options = ocp.CheckpointManagerOptions(
          create=not processes.active_processes,
          multiprocessing_options=processes, best_fn=metric_of, best_mode='min',
          preservation_policy=policies.AnyPreservationPolicy(staying))
      self._opened = ocp.CheckpointManager(self._plain_path(),
                                           options=options), ocp
    return self._opened

  def _plain_path(self) -> str:
    """The directory, by a link where orbax would misread its name."""
    if not _ODD & set(self._directory):
      return self._directory
    check(jax.process_count() == 1, 'Checkpointer', 'the path must be free of '
          f'{" ".join(sorted(_ODD))} where several processes train',
          repr(self._directory))
    os.makedirs(self._directory, exist_ok=True)
    self._link = tempfile.TemporaryDirectory(prefix='genjax_')
    link = os.path.join(self._link.name, 'checkpoints')
    os.symlink(self._directory, link, target_is_directory=True)
    return link

  def _restore(
      self, target: Mapping[str, PyTree], step: int | None
  ) -> tuple[dict[str, PyTree], int] | None:
    """`restore` of those fields of a `State` that are in `target`."""
    steps = self.steps()
    if step is not None:
      check(step in steps, 'restore', f'step must be one of {steps}', step)
      steps = [step]
    for candidate in reversed(steps):
      found, fault = self._read(candidate, target)
      if fault is None:
        return found, candidate
      logging.warning('checkpoint %d in %s is damaged (%s)%s', candidate,
                      self._directory, fault,
                      ', falling back' if candidate != steps[0] else '')
    if steps:
      raise RuntimeError(
          f'restore: no whole checkpoint left in {self._directory}, steps '
          f'{steps} are damaged; remove it to start again')
    return None

  def _read(
      self, step: int, target: Mapping[str, PyTree]
  ) -> tuple[dict[str, PyTree], str | None]:
    """Fields of the state, and what is wrong with the checkpoint if it is."""
    manager, ocp = self._manager()
    try:
      meta = manager.restore(step, args=ocp.args.Composite(
          meta=ocp.args.JsonRestore()))['meta']
    except Exception as error:  # orbax has no one type for what it cannot read
      return {}, _one_line(error)
    if not isinstance(meta, dict) or (
        meta.pop('checksum', None) != leaves.checksum(meta)):
      return {}, 'checksum of its metadata'
    for name, got in (('step', step), ('run', self._run)):
      check(meta[name] == got, 'restore', f'checkpoint {step} in '
            f'{self._directory} must be of {name} {got}: move it back or '
            'remove it', f'one of {name} {meta[name]}')
    found: dict[str, PyTree] = {}
    for part, tree in _parts_of(target).items():
      wanted, saved = leaves.by_path(tree), meta['parts'][part]
      leaves.check_fit(saved, wanted)
      try:
        arrays = self._read_part(step, part, wanted)
      except Exception as error:
        return {}, _one_line(error)
      wrong = leaves.differing(saved, leaves.describe(arrays))
      if wrong:
        return {}, f'checksum of {wrong[0]}'
      placed = map(_place, arrays.values(), wanted.values())
      found |= jax.tree.unflatten(jax.tree.structure(tree), placed)
    return found, None

  def _read_part(
      self, step: int, part: str, wanted: Mapping[str, Any]
  ) -> dict[str, np.ndarray]:
    """Arrays of one part of a checkpoint, in the order of `wanted`."""
    if not wanted:
      return {}
    manager, ocp = self._manager()
    empty = {name: np.empty(x.shape, x.dtype) for name, x in wanted.items()}
    with orbax_ways.stragglers_ignored():
      try:
        if part == _FROZEN:
          with ocp.StandardCheckpointer(multiprocessing_options=(
              self._processes(ocp))) as reader:
            read = reader.restore(self._frozen_path(), empty)
        else:
          read = manager.restore(step, args=ocp.args.Composite(
              **{part: ocp.args.StandardRestore(empty)}))[part]
      except Exception:
        time.sleep(0.2)  # for the stragglers
        raise
    return {name: read[name] for name in wanted}

  def _frozen_path(self) -> str:
    return os.path.join(str(self._manager()[0].directory), _FROZEN)

  def _save_frozen(self, frozen: dict[str, np.ndarray]) -> None:
    """Writes what is frozen, unless it is there already."""
    if not frozen:
      return
    try:
      there = self._read_part(0, _FROZEN, frozen)
      if leaves.describe(there) == leaves.describe(frozen):
        return
    except Exception:  # nothing, unreadable, or of other arrays
      logging.debug('what is frozen is written', exc_info=True)
    _, ocp = self._manager()
    with ocp.StandardCheckpointer(multiprocessing_options=(
        self._processes(ocp))) as writer:
      writer.save(self._frozen_path(), frozen, force=True)


def _parts_of(fields: Mapping[str, PyTree]) -> dict[str, dict[str, PyTree]]:
  """Fields of a `State` by the part of a checkpoint that holds them."""
  parts = {'weights': ('params', 'averages'),
           'training': ('step', 'opt_state', 'skipped'), _FROZEN: (_FROZEN,)}
  found = {part: {name: fields[name] for name in names if name in fields}
           for part, names in parts.items()}
  return {part: tree for part, tree in found.items() if tree}


def _place(x: np.ndarray, target: Any) -> Any:
  """Moves `x` to where `target` lives, if it lives on devices."""
  sharding = getattr(target, 'sharding', None)
  return x if sharding is None else jax.device_put(x, sharding)


def _one_line(error: Exception) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:60]}...'
