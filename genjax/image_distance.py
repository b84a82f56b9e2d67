"""How far apart two images are, by their pixels or what is seen in them."""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_positive
from genjax.numerics import safe_norm
from genjax.types import Array


def pixel_distance(a: Array, b: Array) -> Array:
  """Euclidean distance of images, in the unit of a pixel.

  Its gradient is 0 where they are equal.

  Args:
    a, b: [*batch, H, W, C]; the batches broadcast.

  Returns:
    [*batch].

  Raises:
    ValueError: images of unequal size.
  """
  a, b = _images('pixel_distance', a, b)
  return safe_norm(a - b, axis=(-3, -2, -1))


def structural_similarity(
    a: Array, b: Array, *, data_range: float, window: int = 11,
    scale: float = 1.5
) -> Array:
  """Structural similarity (SSIM) of images, in [-1, 1]; 1 for equal ones.

  Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, eq. 13 with
  K1 = .01 and K2 = .03: means, variances and covariance under a Gaussian
  window, at every place where it fits whole. The mean over places and channels.
  Where an image is smaller than the window, the largest window of odd size
  that fits is taken instead: 7 x 7 for 8 x 8 pixels, at 2 x 2 places.

  Black must be at 0: luminances are compared by their ratio, and of pixels in
  [-1, 1] even a picture and its negative are alike.

  Args:
    a, b: [*batch, H, W, C] in [0, data_range]; the batches broadcast.
    data_range: the value of white: 1, or 255 for bytes.
    window: side of the window in pixels, odd.
    scale: standard deviation of the Gaussian in pixels, before it is cut.

  Returns:
    [*batch].

  Raises:
    ValueError: images of unequal size or no pixel, or a number out of its
      range.
  """
  where = 'structural_similarity'
  check_positive(where, 'data_range', data_range)
  check_positive(where, 'scale', scale)
  check(window >= 1 and window % 2 == 1, where, 'window must be odd', window)
  a, b = _images(where, a, b)
  check(min(a.shape[-3:]) > 0, where, 'a and b must hold a pixel',
        f'shape {a.shape}')
  # Of a range near 1 the squares are numbers; exactly, by a power of two.
  exponent = math.frexp(data_range)[1]
  a, b = (jnp.ldexp(x, -exponent) for x in (a, b))
  data_range = math.ldexp(data_range, -exponent)
  sizes = [min(window, side - 1 + side % 2) for side in a.shape[-3:-1]]
  rows, columns = (
      jnp.asarray(_gaussian_means(side, min(sizes), scale), a.dtype)
      for side in a.shape[-3:-1])

  def local_mean(x):
    # Variances are small differences of these.
    return jnp.einsum('ph,...hwc,qw->...pqc', rows, x, columns,
                      precision=jax.lax.Precision.HIGHEST)

  mean_a, mean_b = local_mean(a), local_mean(b)
  var_a = local_mean(a * a) - mean_a * mean_a
  var_b = local_mean(b * b) - mean_b * mean_b
  cov = local_mean(a * b) - mean_a * mean_b
  c1, c2 = (0.01 * data_range)**2, (0.03 * data_range)**2
  luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
  structure = (2 * cov + c2) / (var_a + var_b + c2)
  return jnp.mean(luminance * structure, axis=(-3, -2, -1))


def pairwise(
    distance: Callable[[Array, Array], Array], a: Array, b: Array
) -> Array:
  """`distance` of each of a [N, ...] to each of b [M, ...]: [N, M].

  Row by row, so that no more than M distances are worked on at a time.
  """
  return jax.lax.map(lambda row: distance(row, b), a)


class Distance(NamedTuple):
  """A distance between images, by what it looks at of each."""

  look: Callable[[np.ndarray], Array]  # x [N, H, W, C] -> [N, ...]
  between: Callable[[Array, Array], Array]  # of looks, one each -> [*batch]


def distances(
    features: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Distance]:
  """Three distances of images in [-1, 1], by name.

  Args:
    features: x [N, H, W, C] to what the third one looks at, [N, F].
  """
  return {
      'pixel L2': Distance(jnp.asarray, pixel_distance),
      '1 - SSIM': Distance(  # black must be at 0
          lambda x: (jnp.asarray(x) + 1) / 2,
          lambda a, b: 1 - structural_similarity(a, b, data_range=1.0)),
      'features': Distance(  # as the channels of an image of one pixel
          lambda x: jnp.asarray(features(x))[:, None, None],
          pixel_distance),
  }


def _images(where: str, a: Array, b: Array) -> tuple[Array, Array]:
  """Both as floats of 32 bits or more: differences of bytes wrap around."""
  a, b = jnp.asarray(a), jnp.asarray(b)
  check(min(a.ndim, b.ndim) >= 3 and a.shape[-3:] == b.shape[-3:], where,
        'a and b must be [..., H, W, C] of one size',
        f'shapes {a.shape} and {b.shape}')
  dtype = jnp.promote_types(jnp.result_type(a, b), jnp.float32)
  return a.astype(dtype), b.astype(dtype)


def _gaussian_means(side: int, window: int, scale: float) -> np.ndarray:
  """Gaussian means over a line of pixels: [side - window + 1, side]."""
  offset = np.arange(window) - window // 2
  weight = np.exp(-0.5 * np.square(offset / scale))
  means = np.zeros((side - window + 1, side))
  for place, row in enumerate(means):
    row[place:place + window] = weight / weight.sum()
  return means
