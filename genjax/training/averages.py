"""Decays of averages of params, each a function of the number of updates."""

from typing import Protocol

import jax.numpy as jnp

from genjax.checks import check_in_range
from genjax.types import Array


class Decay(Protocol):
  """The decay of an average at its n-th update, n = 1, 2, ...: in [0, 1]."""

  def __call__(self, updates: Array) -> Array:
    ...


def ema(decay: float) -> Decay:
  """Exponential moving average: min(decay, (1 + n) / (10 + n)).

  The ramp of TensorFlow's `ExponentialMovingAverage(num_updates)` and of
  score_sde (arXiv:2011.13456), by which early averages forget the initial
  parameters.

  Raises:
    ValueError: if decay is not in [0, 1].
  """
  check_in_range('ema', 'decay', decay, 0.0, 1.0)
  return lambda updates: jnp.minimum(
      decay, (1.0 + updates) / (10.0 + updates))
