"""One-line errors for what is known at trace time.

Every message reads "`where`: what must hold, got what". Faults that depend on
array values are never raised: they give NaN. Of times and temperatures, which
mostly are known, `check_order` and `check_betas` do the one or the other.
"""

from typing import Any, Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from genjax.types import Array
from genjax.types import Shape


def check(condition: bool, where: str, must: str, got: Any) -> None:
  """Raises ValueError "`where`: `must`, got `got`" unless `condition`."""
  if not condition:
    raise ValueError(f'{where}: {must}, got {got}')


def check_folder(where: str, path: str) -> None:
  """Raises ValueError unless `path` may name a folder of this machine."""
  check(bool(path), where, 'must name a folder', repr(path))
  check('://' not in path, where, 'must be a folder of this machine: mount the '
        'bucket, as gcsfuse or s3fs does, and name the folder where it is',
        repr(path))


def known(x: Any) -> np.ndarray | None:
  """The values of `x`, None while it is traced."""
  return None if isinstance(x, jax.core.Tracer) else np.asarray(x)


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


def check_order(where: str, name: str, x: Array, *, falling: bool) -> Array:
  """`x` [T], or NaN if it is traced and out of order.

  Raises:
    ValueError: it is known, and does not strictly fall, or else rise.
  """
  sign = -1 if falling else 1
  if (values := known(x)) is None:
    return jnp.where(jnp.all(sign * jnp.diff(x) > 0), x, jnp.nan)
  fine = sign * np.diff(values) > 0
  if not np.all(fine):
    at = np.argmin(fine)
    check(False, where, f'{name} must strictly '
          f'{"decrease" if falling else "increase"}',
          f'{values[at]:g}, then {values[at + 1]:g}')
  return x


def check_betas(where: str, betas: Array) -> Array:
  """`betas` [T + 1], or NaN if they are traced and no path.

  Raises:
    ValueError: they are not [T + 1], or known and do not rise from 0 to 1, in
      steps that may be 0.
  """
  check(betas.ndim == 1 and betas.size >= 2, where,
        'betas must be [T + 1] with T >= 1', f'shape {betas.shape}')
  fine = jnp.all(jnp.diff(betas) >= 0) & (betas[0] == 0) & (betas[-1] == 1)
  if (values := known(fine)) is not None:
    check(bool(values), where, 'betas must rise from 0 to 1',
          f'{betas[0]:g} to {betas[-1]:g} in steps from '
          f'{jnp.min(jnp.diff(betas)):g}')
  return jnp.where(fine, betas, jnp.nan)


def check_index(where: str, index: Any, size: int) -> None:
  """Raises ValueError unless `index` holds `size` whole numbers."""
  check(np.shape(index) == (size,), where, f'index must be [{size}]',
        f'shape {np.shape(index)}')
  check(np.issubdtype(index.dtype, np.integer), where,
        'index must hold whole numbers', index.dtype)


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
