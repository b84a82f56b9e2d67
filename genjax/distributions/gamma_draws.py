"""Draws of gamma variables of any concentration, and of their shares.

A gamma draw of concentration a is one of a + 1 times U^(1 / a), U uniform
(Marsaglia and Tsang 2000, doi:10.1145/358407.358414, section 6). For small a
the second factor is below all floats, where a rate or another draw may bring
the result back among them; for large a the logarithm of a draw has lost the
digits in which draws differ. So a draw is kept as both factors, the second one
by its logarithm.
"""

import jax
import jax.numpy as jnp

from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


def draw_gamma(
    key: Key, concentration: Array, shape: Shape
) -> tuple[Array, Array]:
  """g > 0 and b <= 0 of draws g e^b of rate 1, and NaN where a is no a > 0.

  Args:
    key: of the draws.
    concentration: a [*batch].
    shape: [*shape, *batch] of the draws.

  Returns:
    g, an ordinary number, and b, finite, 0 from a = 1 on.
  """
  a = concentration
  key_gamma, key_boost = jax.random.split(key)
  small = a < 1
  ordinary = jnp.where(a > 0, jnp.where(small, a + 1, a), 1)
  g = jax.random.gamma(key_gamma, ordinary, shape, a.dtype)
  boost = jax.random.exponential(key_boost, shape, a.dtype)
  most = jnp.finfo(a.dtype).max / 4  # a sum of two is finite
  b = -jnp.minimum(boost / jnp.where(small, a, 1), most)
  return jnp.where(a > 0, g, jnp.nan), jnp.where(small, b, 0)
