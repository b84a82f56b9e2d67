"""Multilayer perceptrons, for vectors and other small data."""

import math
from typing import Any, Callable, Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp

from genjax import checks
from genjax.networks import embeddings
from genjax.networks.blocks import stack
from genjax.networks.init import fan_avg_uniform
from genjax.networks.normalization import layer_norm
from genjax.types import Array
from genjax.types import Cond

_ZEROS = nn.initializers.zeros_init()

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    'gelu': nn.gelu,
    'relu': nn.relu,
    'sin': jnp.sin,
    'swish': nn.swish,
    'tanh': nn.tanh,
}


class _Block(nn.Module):
  """One residual block of a stack: the carry is h [B, F]."""

  dropout: float
  train: bool
  dtype: Any = None

  @nn.compact
  def __call__(self, h: Array, embedding: Array) -> tuple[Array, None]:
    features = h.shape[-1]

    def dense(size, name, kernel_init=fan_avg_uniform):
      return nn.Dense(size, kernel_init=kernel_init, dtype=self.dtype,
                      name=name)

    scale, shift = jnp.split(
        dense(2 * features, 'film', _ZEROS)(embedding), 2, axis=-1)
    y = layer_norm(h, self.dtype)
    y = dense(features, 'dense_1')(y * (1 + scale) + shift)
    y = nn.Dropout(self.dropout, deterministic=not self.train)(nn.swish(y))
    return h + dense(features, 'dense_2', _ZEROS)(y), None


class MLP(nn.Module):
  """A residual MLP over all of x flattened: [B, ...] to the same.

  Pre-normalised residual blocks, scaled and shifted by the embedding of noise
  level and class (FiLM, arXiv:1709.07871). The params of all blocks are
  stacked, see `blocks.stack`. A new network is exactly zero, and each of its
  blocks the identity.

  Attributes:
    features: width F of every block.
    depth: number of blocks.
    dropout: probability in every block, when training.
    remat: whether the backward pass recomputes each block, to save memory.
    num_classes: number of classes of 'label'; None takes none.
    vector_size: length of 'vector'; None takes none.
    augment_size: length of 'augment', how x was changed; None takes none.
    noise: frequencies of the noise embedding.
    noise_levels: how many levels it is given, 1 or 2.
    dtype: of the computation; None is that of x and the parameters, which are
      float32.
  """

  features: int = 256
  depth: int = 4
  dropout: float = 0.0
  remat: bool = False
  num_classes: int | None = None
  vector_size: int | None = None
  augment_size: int | None = None
  noise: embeddings.Sinusoid = embeddings.LOG_SNR
  noise_levels: int = 1
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, noise: Array, cond: Cond | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy data.

    Args:
      x: [B, ...], scaled to about unit variance.
      noise: the log-SNR, finite, [B], or [B, 2] of two `noise_levels`.
      cond: what the attributes say, and 'absent' [B], see `types.Cond`; None
        is absent for all.
      train: True drops out, with rngs={'dropout': key}.

    Returns:
      [B, ...], of x's dtype (float32 of whole numbers).

    Raises:
      ValueError: if shapes break the contract or `depth` is not positive.
    """
    checks.check(x.ndim >= 2, 'MLP', 'x must be [B, ...]', f'shape {x.shape}')
    checks.check_positive('MLP', 'depth', self.depth)
    embeddings.check_inputs(self, x, noise, cond)
    embedding = nn.swish(embeddings.Conditioning(
        min(self.features, 64), self.features, self.num_classes,
        self.vector_size, self.noise, dtype=self.dtype,
        augment_size=self.augment_size, name='conditioning')(noise, cond))

    size = math.prod(x.shape[1:])
    h = nn.Dense(self.features, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='dense_in')(x.reshape(-1, size))
    h = h.astype(jnp.result_type(h, embedding))
    blocks = stack(_Block, self.depth, remat=self.remat)
    h, _ = blocks(self.dropout, train, self.dtype, name='blocks')(h, embedding)
    h = nn.swish(nn.LayerNorm(dtype=self.dtype, name='norm_out')(h))
    h = nn.Dense(size, kernel_init=_ZEROS, dtype=self.dtype,
                 name='dense_out')(h)
    return h.reshape(x.shape).astype(jnp.result_type(x, float))


class Perceptron(nn.Module):
  """Features of small data: x flattened, [B, ...] to [B, F].

  A plain multilayer perceptron, every layer with its activation, the last one
  too. Without layers the features are x itself, and a linear head on them is a
  linear model.

  Attributes:
    widths: of each layer; the last is F.
    activation: one of ACTIVATIONS.
    dtype: of the computation; None is that of x and the parameters.
  """

  widths: Sequence[int] = (64, 64)
  activation: str = 'relu'
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, *, train: bool = False) -> Array:
    """[B, ...] to [B, F]; `train` changes nothing.

    Raises:
      ValueError: an unknown activation, or a width that is not positive.
    """
    del train
    checks.check_choice('Perceptron', 'activation', self.activation,
                        ACTIVATIONS)
    h = x.reshape(len(x), math.prod(x.shape[1:]))
    for i, width in enumerate(self.widths):
      checks.check_positive('Perceptron', 'width', width)
      h = nn.Dense(width, kernel_init=nn.initializers.he_normal(),
                   dtype=self.dtype, name=f'dense_{i}')(h)
      h = ACTIVATIONS[self.activation](h)
    return h
