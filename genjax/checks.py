"""One-line errors for what is known at trace time.

Every message reads "`where`: what must hold, got what". Faults that depend on
array values are never raised: they give NaN.
"""

from typing import Any, Iterable, Mapping

import numpy as np

from genjax.types import Shape


def check(condition: bool, where: str, must: str, got: Any) -> None:
  """Raises ValueError "`where`: `must`, got `got`" unless `condition`."""
  if not condition:
    raise ValueError(f'{where}: {must}, got {got}')


def check_rank(where: str, name: str, x: Any, rank: int) -> None:
  """Raises ValueError unless `x` has `rank` axes."""
  shape = np.shape(x)
  check(len(shape) == rank, where, f'{name} must have {rank} axes',
        f'shape {shape}')


def check_same_shape(where: str, **arrays: Any) -> None:
  """Raises ValueError unless all arrays have one shape."""
  shapes: dict[str, Shape] = {k: np.shape(v) for k, v in arrays.items()}
  check(len(set(shapes.values())) == 1, where,
        f'{", ".join(shapes)} must have one shape',
        ', '.join(map(str, shapes.values())))


def check_positive(where: str, name: str, value: float) -> None:
  """Raises ValueError unless the static number `value` is above zero."""
  check(value > 0, where, f'{name} must be positive', value)


def check_in_range(
    where: str, name: str, value: float, low: float, high: float
) -> None:
  """Raises ValueError unless low <= value <= high."""
  check(low <= value <= high, where, f'{name} must be in [{low}, {high}]',
        value)


def check_choice(where: str, name: str, value: str,
                 choices: Iterable[str] | Mapping[str, Any]) -> None:
  """Raises ValueError unless `value` is one of the names in `choices`."""
  check(value in choices, where,
        f'{name} must be one of {", ".join(sorted(choices))}', repr(value))
