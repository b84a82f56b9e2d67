"""Weights w(log_snr, rate) of the squared error of x_0.

Every weighting is said on the x_0 error, whatever the network predicts; the
loss carries it over to the target's space by the slope of `to_x0`. The rate is
that at which the training times go through the levels, |d log_snr / du| where u
is uniform on (0, 1): one over the density of log_snr. A weight that is a
measure over levels, as `elbo` is, has it as a factor; the others do not depend
on it.
"""

import math
from typing import Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.types import Array


class Weighting(Protocol):
  """Weights [B] of log_snr [B] and rate [B], nats."""

  def __call__(self, log_snr: Array, rate: Array, /) -> Array:
    ...


def x0(log_snr: Array, rate: Array) -> Array:
  """1: the plain x_0 error."""
  del rate
  return jnp.ones_like(log_snr)


def eps(log_snr: Array, rate: Array) -> Array:
  """SNR: the plain noise error, DDPM's L_simple (arXiv:2006.11239, eq. 14)."""
  del rate
  return jnp.exp(log_snr)


def v(log_snr: Array, rate: Array) -> Array:
  """SNR + 1: the plain v error on a VP process (arXiv:2202.00512, sec. 4)."""
  del rate
  return 1 + jnp.exp(log_snr)


def flow_matching(log_snr: Array, rate: Array) -> Array:
  """1 / t^2: the plain velocity error on the straight path."""
  del rate
  return jnp.square(1 + jnp.exp(0.5 * log_snr))


def elbo(log_snr: Array, rate: Array) -> Array:
  """SNR rate / 2: the variational bound, nats a data dimension.

  The loss is a mean over dimensions, and its expectation the integral of half
  the error over SNR: Kingma et al., arXiv:2107.00630, eq. 17, 18.
  """
  return 0.5 * jnp.exp(log_snr) * rate


def edm(data_std: float) -> Weighting:
  """SNR + 1 / data_std^2: lambda(sigma) of arXiv:2206.00364, table 1."""
  check_positive('weighting.edm', 'data_std', data_std)
  return lambda log_snr, rate: jnp.exp(log_snr) + data_std**-2


def min_snr(gamma: float = 5.0) -> Weighting:
  """min(SNR, gamma): Hang et al., arXiv:2303.09556, sec. 3.4."""
  check_positive('weighting.min_snr', 'gamma', gamma)
  return lambda log_snr, rate: jnp.minimum(jnp.exp(log_snr), gamma)


def p2(k: float = 1.0, gamma: float = 1.0) -> Weighting:
  """SNR / (k + SNR)^gamma: Choi et al., arXiv:2204.00227, eq. 8.

  1 / (k + SNR)^gamma on the noise error.
  """
  check_positive('weighting.p2', 'k', k)
  check_positive('weighting.p2', 'gamma', gamma)
  # In logs: a ratio of what overflows is none.
  return lambda log_snr, rate: jnp.exp(
      log_snr - gamma * jnp.logaddexp(math.log(k), log_snr))


def sigmoid(bias: float = 2.0) -> Weighting:
  """SNR sigmoid(bias - log_snr): a sigmoid on the noise error.

  Kingma & Gao, arXiv:2303.00848; bias as in Hoogeboom et al.,
  arXiv:2410.19324, eq. 8.
  """
  # The same as exp(log_snr) sigmoid(bias - log_snr), without its infinity.
  return lambda log_snr, rate: math.exp(bias) * jax.nn.sigmoid(log_snr - bias)
