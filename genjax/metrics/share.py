"""How sure a share of examples is."""

import math

import numpy as np

from genjax.checks import check
from genjax.metrics.estimate import Estimate


def share(right: np.ndarray) -> Estimate:
  """Share of right examples [N], with its 95 % interval of Wilson.

  Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953: the shares from
  which this one is no more than 1.96 of their own standard deviations away. It
  has a width where all N are right, and stays within [0, 1].

  Raises:
    ValueError: no example.
  """
  num = len(right)
  check(num > 0, 'share', 'right must hold an example', 'none')
  z2 = 1.959963984540054**2
  value = float(np.mean(right))
  centre = (value + z2 / (2 * num)) / (1 + z2 / num)
  reach = math.sqrt(z2 * value * (1 - value) / num
                    + (z2 / (2 * num))**2) / (1 + z2 / num)
  return Estimate(value, max(centre - reach, 0.0), min(centre + reach, 1.0))
