"""A scalar network for energy models of vectors."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax import checks
from genjax.networks.init import fan_avg_uniform
from genjax.types import Array

_ZEROS = nn.initializers.zeros_init()


class EnergyMLP(nn.Module):
  """An energy f(x): x [..., D] to [...] nats, p(x) = exp(-f(x)) / Z.

  f(x) = |x / s|^2 / 2 + g(x), with learned scales s [D] and g a multilayer
  perceptron. Its activations are smooth, because score matching
  differentiates f three times; the last of them saturate, so that g is
  bounded and exp(-f) integrable whatever the parameters. A new network is the
  energy of N(0, I): data should be centred, of about unit variance.

  Attributes:
    features: width F of every hidden layer.
    depth: number of hidden layers.
    dtype: of the computation of g; None is that of x and the parameters,
      which are float32.
  """

  features: int = 128
  depth: int = 3
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """The energy of every point.

    Args:
      x: [..., D].

    Returns:
      [...] in nats, of x's dtype (float32 of whole numbers); summed in float32
      or wider.

    Raises:
      ValueError: x is a scalar, or `depth` is not positive.
    """
    checks.check(x.ndim >= 1, 'EnergyMLP', 'x must be [..., D]',
                 f'shape {x.shape}')
    checks.check_positive('EnergyMLP', 'depth', self.depth)
    h = x
    for layer in range(1, self.depth + 1):
      h = nn.Dense(self.features, kernel_init=fan_avg_uniform,
                   dtype=self.dtype, name=f'dense_{layer}')(h)
      h = nn.swish(h) if layer < self.depth else nn.tanh(h)
    g = nn.Dense(1, kernel_init=_ZEROS, use_bias=False, dtype=self.dtype,
                 name='dense_out')(h)[..., 0]
    log_scale = self.param('log_scale', _ZEROS, (x.shape[-1],))
    confinement = 0.5 * jnp.sum(jnp.square(x * jnp.exp(-log_scale)), axis=-1)
    return (confinement + g).astype(jnp.result_type(x, float))
