"""Log-likelihoods in bits per dimension, and what they are likelihoods of."""

import math

import numpy as np

from genjax.checks import check_positive


def bits_per_dim(
    nats: np.ndarray, num_dims: int, *, level_width: float | None = None
) -> np.ndarray:
  """-log2 of a density or of a mass, per dimension.

  A density depends on the unit of the data. With the distance between the
  levels of quantised data in that unit, it becomes a bound on the mass of the
  levels: data were dequantised by uniform noise of that width (Theis et al.,
  arXiv:1511.01844, section 3.1). 8-bit pixels in [-1, 1] by x / 127.5 - 1 have
  a level width of 2 / 255; a uniform model of them then has 8 bits.

  Args:
    nats: log-density or log-mass of examples, [...].
    num_dims: of one example.
    level_width: None takes `nats` as it is.

  Returns:
    bits per dimension [...].

  Raises:
    ValueError: a number that is not positive.
  """
  nats = np.asarray(nats).astype(np.float64)  # before what may not fit 16 bits
  check_positive('bits_per_dim', 'num_dims', num_dims)
  if level_width is not None:
    check_positive('bits_per_dim', 'level_width', level_width)
    nats = nats + num_dims * math.log(level_width)
  return -nats / (num_dims * math.log(2))
