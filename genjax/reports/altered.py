"""Examples made unlike what they were, to see whether a density minds."""

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from genjax.data.levels import on_levels


def altered(
    x: np.ndarray, num_levels: int | None, rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """Sets of altered examples by name, each of the shape of x.

  Of images [N, H, W, C] or signals [N, L, C] in [-1, 1], all on their levels:
  shifted by an eighth of the width to the right, what comes in being of the
  darkest value there is; inverted; blurred by a Gaussian of one pixel; and
  noise, every pixel of any level. Of what has no levels, such as points [N, D]:
  shifted by their standard deviation, turned around the origin, and uniform in
  their box.

  Args:
    x: the examples.
    num_levels: of a pixel; None where there are none.
    rng: of the noise.
  """
  if num_levels is None:
    low, high = x.min(0), x.max(0)
    return {name: values.astype(x.dtype) for name, values in (
        ('shifted', x + x.std(0)), ('inverted', -x),
        ('noise', rng.uniform(low, high, x.shape)))}
  width = max(1, x.shape[-2] // 8)
  shifted = np.roll(x, width, axis=-2)
  shifted[..., :width, :] = x.min()
  blur = (0, *(1,) * (x.ndim - 2), 0)
  sets = {'shifted': shifted, 'inverted': -x,
          'blurred': ndimage.gaussian_filter(x, blur, mode='nearest'),
          'noise': 2 * rng.integers(num_levels, size=x.shape) / (
              num_levels - 1) - 1}
  return {name: np.asarray(on_levels(
      jnp.asarray(values, x.dtype), num_levels))
          for name, values in sets.items()}
