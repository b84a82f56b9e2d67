"""The magnitude-preserving U-Net of EDM2."""

from typing import Any, Sequence

import flax.linen as nn
import jax.numpy as jnp

from genjax.networks import embeddings
from genjax.networks import magnitude_preserving as mp
from genjax.types import Array
from genjax.types import Cond


def _halved(x: Array) -> Array:
  """The mean of each 2 x 2 pixels, [B, 2 H, 2 W, C] to [B, H, W, C]."""
  return nn.avg_pool(x, (2, 2), (2, 2))


def _doubled(x: Array) -> Array:
  """Nearest-neighbour upsampling [B, H, W, C] to [B, 2 H, 2 W, C]."""
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class MPUNet(nn.Module):
  """A U-Net that keeps the magnitude of its activations: [B, H, W, C] to same.

  Karras et al. 2023 (EDM2), arXiv:2312.02696, configuration G; the defaults
  are those of EDM2-S. Its layers, see `magnitude_preserving`, have no biases:
  a channel of ones beside x stands for them all. It is multiplied by a learned
  gain that is 0 at first, so a new network is exactly zero.

  Of a new network the mean square of activations is 1, less what zeros beyond
  the borders and averages of attention take. Training turns weights towards
  what enters them: it then stays near 1 in the encoder, whose blocks normalise
  their input, and grows in the decoder, of digits to about 10.

  What differs: frequencies of the noise embedding are fixed, not drawn; where
  a class is absent, it has a row of its own among them; vectors, images and
  changes of x may be told; activations are not clipped at 256, as is needed in
  float16 alone.

  Attributes:
    channels: channels of each level, the finest first; each level halves the
      resolution of the one before.
    layers_per_block: residual blocks a level on the way down, one more on the
      way up.
    attention_levels: levels whose residual blocks end in attention; 0 is the
      finest. The middle always has it.
    head_dim: channels an attention head.
    dropout: probability in every residual block, when training.
    remat: whether the backward pass recomputes each block, to save memory.
    num_classes: number of classes of 'label'; None takes none.
    vector_size: length of 'vector'; None takes none.
    augment_size: length of 'augment', how x was changed; None takes none.
    image_channels: channels of 'image', which is joined to x; None takes none.
    noise_levels: how many levels it is given, 1 or 2.
    dtype: of the computation; None is that of x and the parameters, which are
      float32.
  """

  channels: Sequence[int] = (192, 384, 576, 768)
  layers_per_block: int = 3
  attention_levels: Sequence[int] = (2, 3)
  head_dim: int = 64
  dropout: float = 0.0
  remat: bool = False
  num_classes: int | None = None
  vector_size: int | None = None
  augment_size: int | None = None
  image_channels: int | None = None
  noise_levels: int = 1
  dtype: Any = None

  @property
  def factor(self) -> int:
    """What height and width must be multiples of."""
    return 2 ** (len(self.channels) - 1)

  @nn.compact
  def __call__(self, x: Array, noise: Array, cond: Cond | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy images.

    Args:
      x: [B, H, W, C], scaled to about unit variance.
      noise: the log-SNR, finite, [B], or [B, 2] of two `noise_levels`.
      cond: what the attributes say, and 'absent' [B], see `types.Cond`; None
        is absent for all.
      train: True drops out, with rngs={'dropout': key}.

    Returns:
      [B, H, W, C], of x's dtype (float32 of whole numbers).

    Raises:
      ValueError: if H or W is no multiple of `factor`, a level is named that
        does not exist, or `head_dim` does not divide.
    """
    embeddings.check_images(self, x, noise, cond)
    levels = range(len(self.channels))
    embedding = mp.Embedding(
        self.channels[0], max(self.channels), self.num_classes,
        self.vector_size, self.augment_size, self.dtype,
        name='embedding')(noise, cond)
    block_class = nn.remat(mp.Block, static_argnums=(3,)) if (
        self.remat) else mp.Block

    def block(h, name, level, *, encodes=False, attends=False):
      return block_class(
          self.channels[level], encodes, self.head_dim if attends else None,
          self.dropout, self.dtype, name=name)(h, embedding, train)

    h = x if self.image_channels is None else embeddings.ImageInput(
        self.image_channels, name='image_input')(x, cond)
    h = jnp.concatenate([h, jnp.ones_like(h[..., :1])], axis=-1)
    h = mp.Linear(self.channels[0], (3, 3), dtype=self.dtype, name='conv_in')(h)
    skips = [h]
    for i in levels:
      attends = i in self.attention_levels
      if i:  # of as many channels as come down
        h = block(_halved(h), f'down_{i}', i - 1, encodes=True)
        skips.append(h)
      for j in range(self.layers_per_block):
        h = block(h, f'encoder_{i}_{j}', i, encodes=True, attends=attends)
        skips.append(h)

    h = block(h, 'middle_0', levels[-1], attends=True)
    h = block(h, 'middle_1', levels[-1])

    for i in reversed(levels):
      attends = i in self.attention_levels
      if i < levels[-1]:  # of as many channels as come up
        h = block(_doubled(h), f'up_{i}', i + 1)
      for j in range(self.layers_per_block + 1):
        h = block(mp.mp_cat(h, skips.pop()), f'decoder_{i}_{j}', i,
                  attends=attends)

    h = mp.Linear(x.shape[-1], (3, 3), gained=True, dtype=self.dtype,
                  name='conv_out')(h)
    return h.astype(jnp.result_type(x, float))
