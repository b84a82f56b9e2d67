"""Runs that a report is told by the name of a flag, and what they draw."""

from typing import Any, Sequence

import jax.numpy as jnp
import numpy as np

from genjax.data import pipeline
from genjax.data import scaled
from genjax.runs import keys
from genjax.runs.data import scale_of
from genjax.runs.open import open_run
from genjax.runs.task import Run
from genjax.runs.task import Sample
from genjax.types import Cond


def opened(
    where: str, workdir: str, weights: str = 'ema', step: int | None = None
) -> Run:
  """`open_run`, whose complaints are of the arguments `where`, `where`_step.

  Raises:
    ValueError: see `open_run`.
  """
  try:
    return open_run(workdir, weights, step=step)
  except ValueError as error:
    said = str(error)
    raise ValueError(f'{where}_{said}' if said.startswith('step: ') else
                     f'{where}: {said.removeprefix("workdir: ")}') from error


def classes_of(settings: Any) -> tuple[str, ...]:
  """Names of the classes that a run is told; none of a kind that has none."""
  told = getattr(settings, 'conditional', False)
  return settings.class_names if told else ()


def numbers_of(settings: Any) -> tuple[str, ...]:
  """Names of the numbers that a run is told beside an example."""
  told = getattr(settings, 'conditional', False)
  return getattr(settings, 'vector_names', ()) if told else ()


def told(label: Any) -> Cond | None:
  """The condition of a label [B], or of shares [B, K]; None of None."""
  return None if label is None else {'label': jnp.asarray(label)}


def in_turn(classes: Sequence[str], num: int) -> np.ndarray | None:
  """Labels 0, 1, 2, ... of the classes in turn: int32 [num]; None of none."""
  return np.resize(np.arange(len(classes), dtype=np.int32),
                   num) if classes else None


def condition(
    num: int, label: np.ndarray | None,
    vector: np.ndarray | Sequence[float] | None
) -> Cond | None:
  """What N samples are told: labels [N], and numbers [N, V] or [V]."""
  cond = told(label)
  if vector is None:
    return cond
  rows = np.asarray(vector, np.float32)
  rows = np.broadcast_to(rows, (num, rows.shape[-1]))
  return {**(cond or {}), 'vector': jnp.asarray(rows)}


def as_data(settings: Any, x: np.ndarray) -> np.ndarray:
  """What a run gave [N, ...], in the range and of the type of its data.

  Of pixels of 8 bits uint8, of points float32.
  """
  scale = scale_of(settings)
  if scale is not None:
    return scaled.from_model(scale, x)
  return pipeline.to_uint8(x) if x.ndim == 4 else x


def sampler_of(where: str, run: Run) -> Sample:
  """What draws from a run that the argument `where` named.

  Raises:
    ValueError: the run is of a kind that does not sample.
  """
  if run.sample is None:
    raise ValueError(f'{where}: must be of a model that samples, got a '
                     f'{run.task.kind}')
  return run.sample


def draw(
    where: str, run: Run, num: int, label: np.ndarray | None, seed: int,
    vector: np.ndarray | Sequence[float] | None = None
) -> np.ndarray:
  """Samples of a run [N, ...], see `as_data`.

  Args:
    where: the argument that named the run.
    run: the run.
    num: N.
    label: int [N], where it is told classes.
    seed: of the draw.
    vector: the numbers told beside the class, [N, V], or [V] for all samples.

  Raises:
    ValueError: the run is of a kind that does not sample.
  """
  return as_data(run.settings, np.asarray(sampler_of(where, run)(
      keys.key(seed, 'sample'), (num,), condition(num, label, vector))))
