"""Discriminative networks that are told how noisy their inputs are.

A classifier of noisy inputs can guide a diffusion model, see
`diffusion.guidance.classifier`.
"""

import math

import jax
import jax.numpy as jnp

from genjax.discriminative import Discriminative
from genjax.discriminative import Forward
from genjax.numerics import broadcast_right
from genjax.types import Array
from genjax.types import Key

# Log of noise over signal below which x counts as noiseless.
LEAST = math.log(0.01)


def with_level(x: Array, log_noise: Array) -> Array:
  """x [B, ..., C], and the noise level that it has as one more channel.

  Args:
    x: scaled to (signal + noise) / sqrt(1 + noise^2).
    log_noise: [] or [B], log of noise over signal; what is less than
      LEAST counts as that.
  """
  level = jnp.maximum(log_noise, LEAST) / 4
  channel = jnp.broadcast_to(broadcast_right(level, x.ndim),
                             (*x.shape[:-1], 1))
  return jnp.concatenate([x, channel.astype(x.dtype)], axis=-1)


def told_noise(network: Discriminative, channels: int) -> Discriminative:
  """A network of `with_level`, that takes x [B, ..., channels] for noiseless.
  """

  def whole(x: Array) -> Array:
    return (with_level(x, jnp.asarray(LEAST))
            if x.shape[-1] == channels else x)

  def told(forward: Forward) -> Forward:
    return lambda params, x, **kwargs: forward(params, whole(x), **kwargs)

  return Discriminative(lambda key, x: network.init(key, whole(x)),
                        told(network.features), told(network.logits))


def add_noise(keys: Key, x: Array, *, most: float) -> Array:
  """`with_level` of x with noise: of a classifier that is to guide a model.

  Noise over signal is log-uniform from exp(LEAST) to `most`; a tenth of
  the examples has none.

  Args:
    keys: [B].
    x: [B, ..., C], data of about unit scale.
    most: largest noise over signal.
  """

  def one(key: Key, x: Array) -> tuple[Array, Array]:
    key_level, key_noise = jax.random.split(key)
    share = jax.random.uniform(key_level)
    log_noise = LEAST + jnp.maximum(share - 0.1, 0) / 0.9 * (
        math.log(most) - LEAST)
    noise = jnp.where(share > 0.1, jnp.exp(log_noise), 0.0)
    eps = jax.random.normal(key_noise, x.shape, x.dtype)
    return (x + noise * eps) / jnp.sqrt(1 + jnp.square(noise)), log_noise

  return with_level(*jax.vmap(one)(keys, x))
