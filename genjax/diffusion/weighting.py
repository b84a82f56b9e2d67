"""Weights w(log_snr) of the squared error of x_0.

Every weighting is said on the x_0 error, whatever the network predicts; the
loss carries it over to the target's space by the slope of `to_x0`.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.types import Array

Weighting = Callable[[Array], Array]


def x0(log_snr: Array) -> Array:
  """1: the plain x_0 error."""
  return jnp.ones_like(log_snr)


def eps(log_snr: Array) -> Array:
  """SNR: the plain noise error, DDPM's L_simple (arXiv:2006.11239, eq. 14)."""
  return jnp.exp(log_snr)


def v(log_snr: Array) -> Array:
  """SNR + 1: the plain v error on a VP process (arXiv:2202.00512, sec. 4)."""
  return 1 + jnp.exp(log_snr)


def flow_matching(log_snr: Array) -> Array:
  """1 / t^2: the plain velocity error on the straight path."""
  return jnp.square(1 + jnp.exp(0.5 * log_snr))


def edm(data_std: float) -> Weighting:
  """SNR + 1 / data_std^2: lambda(sigma) of arXiv:2206.00364, table 1."""
  check_positive('weighting.edm', 'data_std', data_std)
  return lambda log_snr: jnp.exp(log_snr) + data_std**-2


def min_snr(gamma: float = 5.0) -> Weighting:
  """min(SNR, gamma): Hang et al., arXiv:2303.09556, sec. 3.4."""
  check_positive('weighting.min_snr', 'gamma', gamma)
  return lambda log_snr: jnp.minimum(jnp.exp(log_snr), gamma)


def sigmoid(bias: float = 2.0) -> Weighting:
  """SNR sigmoid(bias - log_snr): a sigmoid on the noise error.

  Kingma & Gao, arXiv:2303.00848; bias as in Hoogeboom et al.,
  arXiv:2410.19324, eq. 8.
  """
  # The same as exp(log_snr) sigmoid(bias - log_snr), without its infinity.
  return lambda log_snr: math.exp(bias) * jax.nn.sigmoid(log_snr - bias)
