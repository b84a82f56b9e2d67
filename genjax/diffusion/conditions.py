"""What a conditional model is told beside x_t, and where it is told nothing.

The condition that a network gets holds 'absent' [B] bool beside what the data
gives, see `genjax.types.Cond`: where it is True the network uses a learned
embedding and ignores the rest. So a model learns to do without its condition
(`drop`), and is asked to (`null`), for classifier-free guidance.
"""

from typing import Any, Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.numerics import broadcast_right
from genjax.types import Apply
from genjax.types import Array
from genjax.types import Cond
from genjax.types import PyTree

Null = Callable[[Cond], Cond]


def present(cond: Cond) -> Cond:
  """`cond` with 'absent', False for all where it does not say itself.

  Raises:
    ValueError: it is empty, or its parts are not of one batch size.
  """
  sizes = {name: jnp.shape(part)[:1] for name, part in cond.items()}
  check(len(set(sizes.values())) == 1 and () not in sizes.values(), 'present',
        'parts of a condition must be [B, ...] of one B', sizes)
  (size,) = set(sizes.values())
  return {'absent': jnp.zeros(size, bool), **cond}


def null(cond: Cond) -> Cond:
  """`cond` absent for all: same shapes and dtypes, everything else zero.

  But 'augment' stays as it is: a model that is not always told how its training
  images were changed learns to draw changed ones.
  """
  zero = jax.tree.map(jnp.zeros_like, dict(present(cond)))
  told = {name: cond[name] for name in cond if name == 'augment'}
  return zero | told | {'absent': jnp.ones_like(zero['absent'])}


def standardising(
    apply: Apply, mean: Sequence[float], std: Sequence[float]
) -> Apply:
  """A network that is told vectors in their own units.

  Args:
    apply: the network, which is told (vector - mean) / std.
    mean: [V].
    std: [V], positive.

  Returns:
    The same, but that a condition without a 'vector' has the mean.

  Raises:
    ValueError: mean and std of different lengths, or when it is called, a
      vector of another.
  """
  check(len(mean) == len(std), 'standardising',
        'mean and std must be of one length', f'{len(mean)} and {len(std)}')
  center, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

  def call(
      variables: PyTree, x: Array, noise: Array, cond: Cond | None = None,
      **kwargs: Any
  ) -> PyTree:
    if cond is not None:
      shape = (x.shape[0], len(mean))
      vector = jnp.asarray(cond.get('vector', jnp.broadcast_to(center, shape)))
      check(vector.shape == shape, 'cond', f'vector must have shape {shape}',
            f'shape {vector.shape}')
      cond = {**cond, 'vector': (vector - center) / scale}
    return apply(variables, x, noise, cond, **kwargs)

  return call


def drop(cond: Cond, dropped: Array, null: Null = null) -> Cond:
  """`null(cond)` where `dropped` [B], `cond` elsewhere."""
  cond = present(cond)
  return jax.tree.map(
      lambda nothing, part: jnp.where(
          broadcast_right(dropped, jnp.ndim(part)), nothing, part),
      dict(null(cond)), dict(cond))
