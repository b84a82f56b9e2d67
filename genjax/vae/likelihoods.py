"""Generative models p(x | z): what a decoder's outputs say of each value of x.

Images are in [-1, 1], as everywhere.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check_choice
from genjax.distributions.base import Distribution
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import bernoulli as binary
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discretized import discretized_logistic as levels
from genjax.distributions.discretized import DiscretizedLogisticParams
from genjax.numerics import soft_clip
from genjax.types import Array
from genjax.types import Params
from genjax.types import Shape

SCALES = ('shared', 'each', 'output')  # see `gaussian`
_LOG_SCALE = (-7.0, 3.0)


class Likelihood(NamedTuple):
  """A family of each value of x, and how its params come from a decoder."""

  num_outputs: int  # P, of the decoder for each value
  init: Callable[[Shape], Params]  # of x's event, to what the family learns
  params: Callable[[Params, Array], Params]  # (its own, outputs [..., P])
  dist: Distribution  # of one value


def bernoulli() -> Likelihood:
  """Black or white, -1 or 1; the output is the logit of white."""

  def sample(key, params, shape=()):
    # bernoulli's -1, for bad params, becomes NaN as everywhere in floats.
    x = binary.sample(key, params, shape).astype(jnp.result_type(*params))
    return jnp.where(x < 0, jnp.nan, 2 * x - 1)

  def log_prob(params, x):
    return binary.log_prob(params, (x + 1) / 2)

  def mean(params):
    return 2 * jax.nn.sigmoid(params.logits) - 1

  def params(own, outputs):
    del own
    return BernoulliParams(outputs[..., 0])

  return Likelihood(1, lambda shape: (), params,
                    Distribution(sample, log_prob, mean=mean))


def gaussian(scale: str = 'each') -> Likelihood:
  """A Gaussian, whose scale is learned.

  Args:
    scale: 'shared' is one number, 'each' one for each value of x that no z
      changes, 'output' the decoder's second output.

  Raises:
    ValueError: another scale.
  """
  return _location_scale('gaussian', normal, NormalParams, scale)


def discretized_logistic(
    num_levels: int, scale: str = 'each'
) -> Likelihood:
  """A logistic cut into the levels 2 k / (num_levels - 1) - 1: a mass.

  Args:
    num_levels: of a pixel.
    scale: as of `gaussian`.

  Raises:
    ValueError: fewer than two levels, or another scale.
  """
  return _location_scale('discretized_logistic', levels(num_levels),
                         DiscretizedLogisticParams, scale)


def _location_scale(where: str, dist: Distribution, family: Any,
                    scale: str) -> Likelihood:
  check_choice(where, 'scale', scale, SCALES)

  def init(shape):
    if scale == 'output':
      return ()
    # Noise as wide as half of the range from black to white.
    return jnp.full(shape if scale == 'each' else (), -0.7)

  def params(own, outputs):
    log_scale = outputs[..., 1] if scale == 'output' else own
    return family(outputs[..., 0], jnp.exp(soft_clip(log_scale, *_LOG_SCALE)))

  return Likelihood(2 if scale == 'output' else 1, init, params, dist)
