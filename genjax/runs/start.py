"""A run that begins with the weights of another one, to be tuned further."""

import dataclasses
import os
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.runs import workdir as workdirs
from genjax.runs.open import open_run
from genjax.training import leaves
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import State
from genjax.types import Params

# In the paths of parameters.
_OF_CLASSES = 'class_embedding', "['head']"
_OF_CHANGES = "['augment']"
_SHOWN = 4  # parameters, in a message


class Start(NamedTuple):
  """The weights of another run."""

  workdir: str
  class_names: tuple[str, ...]
  params: Params
  ema: Params

  @property
  def id(self) -> str:
    """sha256 of the weights."""
    arrays = leaves.by_path(jax.tree.map(np.asarray, (self.params, self.ema)))
    return leaves.checksum(leaves.describe(arrays))


def read_start(init_from: str, kind: str) -> Start:
  """The latest weights of the run in the folder `init_from`.

  Raises:
    ValueError: there is none, or one of another kind.
    RuntimeError: every checkpoint is damaged.
  """
  try:
    raw, ema = (open_run(init_from, weights) for weights in ('raw', 'ema'))
  except ValueError as error:
    raise ValueError(f'init_from: {error}') from error
  check(raw.task.kind == kind, 'init_from', f'must be a run of kind {kind}',
        f'{init_from!r} of kind {raw.task.kind}')
  return Start(init_from, raw.settings.class_names, raw.params, ema.params)


def begin(
    workdir: str, kind: str, settings: Any, init_from: str | None
) -> tuple[Any, Start | None]:
  """Settings that name the weights that a run begins with, and the weights.

  A run that has been saved has its own: the other one may be gone.

  Args:
    workdir: of the run that begins, or goes on.
    kind: of it.
    settings: of it.
    init_from: folder of the other run; None where there is none.

  Raises:
    ValueError, RuntimeError: see `read_start`.
  """
  if init_from is None:
    return settings, None
  if saved_steps(workdir) and os.path.isfile(
      os.path.join(workdir, workdirs.SETTINGS)):
    known = workdirs.read(workdir).values.get('init_id')
    return dataclasses.replace(settings, init_id=known), None
  start = read_start(init_from, kind)
  return dataclasses.replace(settings, init_id=start.id), start


def saved_steps(workdir: str) -> list[int]:
  """The steps of the checkpoints in the folder of a run, in order."""
  return Checkpointer(os.path.join(workdir, 'checkpoints')).steps()


def started(state: State, start: Start, class_names: tuple[str, ...]) -> State:
  """A state before its first step, with the weights of another run.

  Params and 'ema' are those of the other run, further averages its params. The
  embedding of classes, or the head of a classifier, stays as it is where the
  classes are not the same, or one of the two runs has none; so does the
  embedding of how images are changed, which adds nothing to unchanged ones,
  where the other run has none.

  Raises:
    ValueError: parameters of other names or shapes; the message lists them.
  """
  here, there = (leaves.by_path(tree) for tree in (state.params, start.params))
  same = start.class_names == class_names
  fresh = [name for name in here | there
           if any(part in name for part in _OF_CLASSES)
           and not (same and name in here and name in there)]
  new = {*fresh, *(name for name in here.keys() ^ there.keys()
                   if _OF_CHANGES in name)}
  wrong = []
  for name in sorted((here | there).keys() - new):
    was, now = _shape(there, name), _shape(here, name)
    if was != now:
      wrong.append(f'{name} is {was} there and {now} here')
  more = f' and {len(wrong) - _SHOWN} more' if len(wrong) > _SHOWN else ''
  check(not wrong, 'init_from', 'must be a run of the same network and '
        'settings of it', f'{start.workdir!r}, where '
        + '; '.join(wrong[:_SHOWN]) + more)
  if fresh:
    logging.warning('init_from: the classes are not those of %r: what the '
                    'network has for each begins afresh', start.workdir)

  def taken(other: Params) -> Params:
    found = leaves.by_path(other)
    return jax.tree.unflatten(jax.tree.structure(state.params), [
        jnp.array(x if name in new else found[name])
        for name, x in here.items()])

  return state._replace(
      params=taken(start.params),
      averages={name: taken(start.ema if name == 'ema' else start.params)
                for name in state.averages})


def _shape(arrays: dict[str, Any], name: str) -> str:
  return str(tuple(arrays[name].shape)) if name in arrays else 'absent'
