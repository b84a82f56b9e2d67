"""Numbers of the library beside the same ones found another way."""

import math
from typing import Callable, NamedTuple, Sequence

import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax.types import Array

# x [N] -> nats [N].
LogDensity = Callable[[Array], Array]


class Check(NamedTuple):
  """A number of the library beside the same one found another way."""

  quantity: str
  value: float  # the library's
  found: float
  by: str  # 'quadrature' or 'draws'
  standard_error: float | None = None  # of `found`, by draws


def quadrature(
    log_density: LogDensity, centre: float, scale: float
) -> tuple[float, float, float]:
  """Log integral, mean and standard deviation of any density on the line.

  By the trapezoidal rule to 12 scales around the centre, where for anything
  Gaussian it is exact to rounding; in logs, so that nothing underflows.
  """
  z, step = np.linspace(-12, 12, 2001, retstep=True)
  x = centre + scale * z
  nats = np.asarray(log_density(jnp.asarray(x)))
  log_z = special.logsumexp(nats) + math.log(scale * step)
  weights = special.softmax(nats)
  mean = float(weights @ x)
  return float(log_z), mean, math.sqrt(weights @ (x - mean)**2)


def moments(
    name: str, law: tuple[float, float], found: Sequence[float], by: str,
    errors: Sequence[float | None] = (None, None)
) -> list[Check]:
  """A Gaussian's mean and standard deviation, `found` by another way."""
  return [Check(f'{name}: {what}', value, other, by, error)
          for what, value, other, error in zip(
              ('mean', 'standard deviation'), law, found, errors)]


def from_draws(
    name: str, law: tuple[float, float], x: np.ndarray
) -> list[Check]:
  """A Gaussian's mean and standard deviation, by draws x [N] from it."""
  error = law[1] / math.sqrt(len(x))
  return moments(name, law, (float(x.mean()), float(x.std())), 'draws',
                 (error, error / math.sqrt(2)))


def correlation_from_draws(
    name: str, value: float, points: np.ndarray
) -> Check:
  """A Gaussian's correlation, by draws [N, 2] from it."""
  return Check(name, value, float(np.corrcoef(points.T)[0, 1]), 'draws',
               (1 - value**2) / math.sqrt(len(points)))


def table(checks: Sequence[Check]) -> str:
  """The checks as text."""
  lines = [f'{"":<46} {"library":>11} {"found":>11} {"off by":>9}']
  for check in checks:
    error = abs(check.found - check.value)
    lines.append(
        f'{check.quantity:<46} {check.value:11.6g} {check.found:11.6g} '
        + (f'{error:9.1e} by quadrature' if check.standard_error is None else
           f'{error / check.standard_error:9.2f} standard errors'))
  return '\n'.join(lines)
