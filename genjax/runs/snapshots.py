"""Averages of any width after training, of snapshots kept while it went on.

A run with `ema_widths` keeps its power averages at every checkpoint in a folder
of their own; their combination by least squares is an average of another width
(EDM2, arXiv:2312.02696, section 3.2).
"""

import contextlib
import os
import re
from typing import Any, Mapping

import jax
import numpy as np

from genjax import store
from genjax.checks import check
from genjax.training.averages import combination
from genjax.training.averages import WIDEST
from genjax.training.checkpoint import Checkpointer
from genjax.types import Params

_MOST = 100  # snapshots, the latest; --keep_every keeps more
_NARROWEST = 0.01  # as of `fields.ema_widths`


def make_snapshots(workdir: str, run: str, every: int = 0) -> Checkpointer:
  """What keeps the snapshots of a run; nothing is touched before the first."""
  return Checkpointer(os.path.join(workdir, 'snapshots'), run=run, keep=_MOST,
                      every=every)


def width_of(weights: str) -> float | None:
  """0.05 of 'ema:0.05'; None of what names no width.

  Raises:
    ValueError: a width out of range.
  """
  found = re.fullmatch(r'ema:(\d*\.?\d+)', weights)
  if found is None:
    return None
  width = float(found[1])
  check(_NARROWEST <= width <= WIDEST, 'weights', 'the width after ema: must '
        f'be in [{_NARROWEST}, {WIDEST}]', found[1])
  return width


def reconstruct(
    workdir: str, run: str, shapes: Params, widths: Mapping[str, float],
    step: int, width: float
) -> tuple[Params, int]:
  """The average of `width` at the last snapshot up to `step`, and its step.

  Args:
    workdir: the folder of the run.
    run: identity of the run.
    shapes: of the params.
    widths: of the power averages that the run keeps, by name.
    step: the latest to be looked at.
    width: of the average.

  Raises:
    ValueError: the run has kept no snapshots.
    RuntimeError: a snapshot is damaged.
  """
  zero = np.zeros((), np.int32)
  counts = {'step': zero, 'opt_state': (), 'skipped': zero}
  weights = {'params': {}, 'averages': dict.fromkeys(widths, shapes)}
  store.pull(os.path.join(workdir, 'snapshots'))
  with contextlib.closing(make_snapshots(workdir, run)) as snapshots:
    steps = [s for s in snapshots.steps() if s <= step] if widths else []
    check(bool(steps), 'weights', 'must be ema or raw: the run has kept no '
          'snapshots, as one with --ema_widths does', f'ema:{width:g}')

    def read(fields: Mapping[str, Any], step: int) -> dict[str, Any]:
      try:
        found = snapshots.restore_fields(fields, step)
      except RuntimeError as error:
        path = os.path.join(workdir, 'snapshots', str(step))
        raise RuntimeError(f'weights: snapshot {path!r} is damaged: remove it, '
                           'and the others are used') from error
      return {} if found is None else found[0]

    updates = [int(found['step'] - found['skipped'])
               for found in (read(counts, step) for step in steps)]
    factors = combination(
        np.repeat(updates, len(widths)),
        np.tile([*widths.values()], len(steps)), width, updates[-1])
    total = jax.tree.map(lambda x: np.zeros(x.shape), shapes)
    # One at a time: all of them may not fit in memory.
    for step, row in zip(steps, factors.reshape(len(steps), -1)):
      kept = read(weights, step)['averages']
      for name, factor in zip(widths, row):
        total = jax.tree.map(lambda a, b, f=factor: a + f * np.float64(b),
                             total, kept[name])
  return jax.tree.map(lambda a, x: a.astype(x.dtype), total, shapes), steps[-1]
