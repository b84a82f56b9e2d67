"""What guidance samples of Gaussian data, beside what it is said to sample.

Closed forms in float64 for entries that are independent, x [D]: conditional
data N(mean, variance) and unconditional data N(mean, variance), or those of a
model and a weaker one.
"""

import math
from typing import NamedTuple

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive

_NODES = 128  # of Gauss and Legendre, in an angle in which all is smooth


class Law(NamedTuple):
  """A Gaussian of independent entries."""

  mean: np.ndarray  # [D]
  variance: np.ndarray  # [D], positive


def guided(
    cond: Law, uncond: Law, scale: float, *, noise: float = math.inf,
    start: float | None = None
) -> Law:
  """What classifier-free guidance draws by the probability flow, exactly.

  With score w s_c + (1 - w) s_u the flow is linear. From N(0, sigma^2) at noise
  sigma over signal, the variance at no noise is sigma^2 (v / (v + sigma^2))^w
  (u / (u + sigma^2))^(1 - w), v and u those of conditional and unconditional
  data: of infinite noise v^w u^(1 - w). The mean is an integral over the noise.
  Classifier guidance of the unconditional model by its exact classifier is the
  same, as is autoguidance.

  Args:
    cond: the conditional data.
    uncond: the unconditional data, or what a weaker model takes them for.
    scale: w; 1 is none.
    noise: sigma / alpha where the flow starts.
    start: variance of x / alpha there; noise^2 where absent.

  Raises:
    ValueError: noise is not positive, or start is given for infinite noise.
  """
  check_positive('guided', 'noise', noise)
  check(start is None or noise < math.inf, 'guided',
        'start must be absent for infinite noise', start)
  (m, v), (n, u) = (tuple(np.atleast_1d(np.asarray(a, np.float64)) for a in law)
                    for law in (cond, uncond))
  unit = np.sqrt(u * v)  # q = unit tan(angle)^2 is the square of the noise
  nodes, weights = np.polynomial.legendre.leggauss(_NODES)
  last = np.arctan(noise / np.sqrt(unit)) if noise < math.inf else math.pi / 2
  angle = np.multiply.outer(0.5 * (nodes + 1), last * np.ones_like(unit))
  tan = np.tan(angle)
  q, rate = unit * tan**2, 2 * unit * tan / np.cos(angle)**2
  shrunk = (v / (v + q))**(scale / 2) * (u / (u + q))**((1 - scale) / 2)
  pull = scale * m / (v + q) + (1 - scale) * n / (u + q)
  mean = 0.25 * last * np.tensordot(weights, rate * shrunk * pull, axes=1)
  if noise == math.inf:
    return Law(mean, v**scale * u**(1 - scale))
  begun = noise**2 if start is None else start
  return Law(mean, begun * (v / (v + noise**2))**scale
             * (u / (u + noise**2))**(1 - scale))


def tilted(cond: Law, uncond: Law, scale: float) -> Law:
  """p(x | c)^w p(x)^(1 - w) / Z, which guidance is often said to sample.

  Its precision is w / v + (1 - w) / u.

  Raises:
    ValueError: that is not positive: there is no such law.
  """
  (m, v), (n, u) = (tuple(np.atleast_1d(np.asarray(a, np.float64)) for a in law)
                    for law in (cond, uncond))
  precision = scale / v + (1 - scale) / u
  check(bool(np.all(precision > 0)), 'tilted', 'scale must leave a law, of '
        'positive scale / v + (1 - scale) / u', scale)
  return Law((scale * m / v + (1 - scale) * n / u) / precision, 1 / precision)
