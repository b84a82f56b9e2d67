"""Runs that a report is told by the name of a flag, and what they draw."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from genjax.data import pipeline
from genjax.runs import keys
from genjax.runs.open import open_run
from genjax.runs.task import Run


def opened(where: str, workdir: str) -> Run:
  """`open_run`, whose complaints are of the argument `where`.

  Raises:
    ValueError: see `open_run`.
  """
  try:
    return open_run(workdir)
  except ValueError as error:
    raise ValueError(
        f'{where}: {str(error).removeprefix("workdir: ")}') from error


def classes_of(settings: Any) -> tuple[str, ...]:
  """Names of the classes that a run is told; none of a kind that has none."""
  told = getattr(settings, 'conditional', False)
  return settings.class_names if told else ()


def draw(
    where: str, run: Run, num: int, label: np.ndarray | None, seed: int
) -> np.ndarray:
  """Samples of a run: uint8 [N, H, W, C] of images, float [N, D] of points.

  Args:
    where: the argument that named the run.
    run: the run.
    num: N.
    label: int [N], where it is told classes.
    seed: of the draw.

  Raises:
    ValueError: the run is of a kind that does not sample.
  """
  if run.sample is None:
    raise ValueError(f'{where}: must be of a model that samples, got a '
                     f'{run.task.kind}')
  cond = None if label is None else {'label': jnp.asarray(label)}
  x = np.asarray(run.sample(keys.key(seed, 'sample'), (num,), cond))
  return pipeline.to_uint8(x) if x.ndim == 4 else x
