"""Continuous scalar families: Params, sample and log_prob, elementwise."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.distributions.base import Distribution
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


class NormalParams(NamedTuple):
  """Location and standard deviation, broadcast against each other."""

  loc: Array
  scale: Array  # standard deviation; a value that is not positive gives NaN


def _normal_sample(key: Key, params: NormalParams, shape: Shape = ()) -> Array:
  loc, scale = _valid(params)
  batch = jnp.broadcast_shapes(loc.shape, scale.shape)
  eps = jax.random.normal(key, shape + batch, loc.dtype)
  return loc + scale * eps


def _normal_log_prob(params: NormalParams, x: Array) -> Array:
  loc, scale = _valid(params)
  z = (x - loc) / scale
  return -0.5 * jnp.square(z) - jnp.log(scale) - 0.5 * math.log(2 * math.pi)


def _valid(params: NormalParams) -> NormalParams:
  dtype = jnp.result_type(params.loc, params.scale, float)
  loc, scale = (jnp.asarray(p, dtype) for p in params)
  return NormalParams(loc, jnp.where(scale > 0, scale, jnp.nan))


normal = Distribution(_normal_sample, _normal_log_prob)
"""Normal distribution of mean `loc` and standard deviation `scale`."""
