"""Linear measurements of images: y = A x + noise, and what they say of x.

An operator is said by A and by the eigenvalues of A A^T, which is all that
restoration needs: of a mask, of means over squares and over channels there is
one of them, a blur's are those of its Fourier transform.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_positive
from genjax.checks import check_rank
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Shape


class Operator(NamedTuple):
  """A linear map of examples, and A A^T in the basis where it is diagonal."""

  apply: Callable[[Array], Array]  # x [N, *event] -> A x [N, *measured]
  # y [N, *measured] -> its coordinates [N, ...] in an orthonormal basis of
  # eigenvectors of A A^T; complex of a Fourier basis.
  rotate: Callable[[Array], Array]
  eigenvalues: np.ndarray  # [...], of A A^T, of the shape of coordinates
  event: Shape  # of an example
  measured: Shape  # of what is measured of it


class Measurement(NamedTuple):
  """What was measured: y = A x + noise_std z, z standard normal."""

  operator: Operator
  y: Array  # [B, *measured]
  noise_std: float


def measure(
    where: str, operator: Operator, y: Array, noise_std: float
) -> Measurement:
  """A `Measurement`, checked.

  Raises:
    ValueError: y is not [B, *measured] or holds what is no number; noise_std is
      negative or no number.
  """
  y = jnp.asarray(y)
  check(y.shape[1:] == operator.measured and y.ndim > 0, where, 'measurements '
        f'must be [B, {", ".join(map(str, operator.measured))}]',
        f'shape {y.shape}')
  if not isinstance(y, jax.core.Tracer):
    bad = int(np.sum(~np.isfinite(np.asarray(y, np.float64))))
    check(bad == 0, where, 'measurements must be finite',
          f'{bad} that are not, of {y.size}')
  check(0 <= noise_std < math.inf, where, 'noise_std must be 0 or a positive '
        'number', noise_std)
  return Measurement(operator, widen(y), noise_std)


def _multiple(
    apply: Callable[[Array], Array], value: float, event: Shape, measured: Shape
) -> Operator:
  """An operator of which A A^T is `value` times the identity."""
  return Operator(apply, lambda y: y, np.full(measured, value), event, measured)


def mask(kept: np.ndarray) -> Operator:
  """Keeps the entries [M] where `kept` [*event] is true, in C order.

  Raises:
    ValueError: it keeps nothing.
  """
  places = np.flatnonzero(kept)
  check(places.size > 0, 'mask', 'kept must keep an entry', 'none')
  return _multiple(
      lambda x: x.reshape(x.shape[0], -1)[:, places], 1.0, np.shape(kept),
      places.shape)


def downsample(shape: Shape, factor: int) -> Operator:
  """Means over squares of `factor` pixels a side: [H / f, W / f, C].

  Raises:
    ValueError: the sides of `shape`, [H, W, C], are no multiples of factor.
  """
  check_positive('downsample', 'factor', factor)
  check(len(shape) == 3 and not any(side % factor for side in shape[:2]),
        'downsample', f'an image must have sides that {factor} divides',
        f'shape {shape}')
  height, width, channels = shape[0] // factor, shape[1] // factor, shape[2]

  def apply(x: Array) -> Array:
    return jnp.mean(x.reshape(-1, height, factor, width, factor, channels),
                    axis=(2, 4))

  return _multiple(apply, factor**-2.0, shape, (height, width, channels))


def grey(shape: Shape) -> Operator:
  """The mean of the channels of an image: [H, W, 1].

  Raises:
    ValueError: `shape` is not [H, W, C].
  """
  check(len(shape) == 3, 'grey', 'an image must be [H, W, C]', f'shape {shape}')
  return _multiple(lambda x: jnp.mean(x, axis=-1, keepdims=True),
                   1 / shape[-1], shape, (*shape[:2], 1))


def blur(shape: Shape, std: float) -> Operator:
  """A Gaussian blur of images [H, W, C] that are continued periodically.

  Args:
    shape: of an image.
    std: standard deviation in pixels of the kernel, sampled at them and of sum
      1.

  Raises:
    ValueError: std is not positive, or `shape` not [H, W, C].
  """
  check_positive('blur', 'std', std)
  check(len(shape) == 3, 'blur', 'an image must be [H, W, C]', f'shape {shape}')
  sides = []
  for side in shape[:2]:
    away = np.arange(side)
    away = np.minimum(away, side - away)
    kernel = np.exp(-0.5 * np.square(away / std))
    # Symmetric, so that its transform is real, and A its own adjoint.
    sides.append(np.fft.fft(kernel / kernel.sum()).real)
  response = np.multiply.outer(*sides)[..., None]

  def fourier(y: Array) -> Array:
    return jnp.fft.fft2(y, axes=(1, 2), norm='ortho')

  def apply(x: Array) -> Array:
    return jnp.fft.ifft2(response * fourier(x), axes=(1, 2), norm='ortho').real

  return Operator(apply, fourier, np.broadcast_to(
      np.square(response), shape), shape, shape)


def matrix(a: Array) -> Operator:
  """A [M, D], as it is: of points, or of small examples taken as rows.

  Raises:
    ValueError: it is no matrix.
  """
  check_rank('matrix', 'a', a, 2)
  rows = np.asarray(a, np.float64)
  values, basis = np.linalg.eigh(rows @ rows.T)
  return Operator(lambda x: x @ rows.T, lambda y: y @ basis,
                  np.maximum(values, 0.0), (rows.shape[1],), (rows.shape[0],))


def adjoint(operator: Operator, y: Array) -> Array:
  """A^T y [N, *event] of y [N, *measured]."""
  like = jax.ShapeDtypeStruct((y.shape[0], *operator.event), y.dtype)
  return jax.linear_transpose(operator.apply, like)(y)[0]


def pseudoinverse(operator: Operator, y: Array) -> Array:
  """A^+ y [N, *event] of y [N, *measured], A^T (A A^T)^+ y.

  Eigenvalues below 1e-6 of the largest count as 0.
  """
  values = operator.eigenvalues
  fine = values > 1e-6 * np.max(values)
  inverse = np.where(fine, 1 / np.where(fine, values, 1.0), 0.0)

  def against(x: Array) -> Array:
    """-y^T (A A^T)^+ A x, the slope of half of a square at x = 0."""
    rest = operator.rotate(y - operator.apply(x))
    return 0.5 * jnp.sum(inverse * jnp.square(jnp.abs(rest)))

  return -jax.grad(against)(jnp.zeros((y.shape[0], *operator.event), y.dtype))


def log_likelihood(
    measurement: Measurement, x: Array, spread: Array | float = 0.0
) -> Array:
  """log N(y; A x, noise_std^2 I + spread A A^T) in nats: [B, ...].

  Args:
    measurement: of B examples.
    x: [B, ..., *event], some of each.
    spread: [] or [B, ...], variance of x itself about what is given.

  Returns:
    [B, ...]. Infinite or NaN where both the noise and the spread are 0.

  Raises:
    ValueError: x is of another shape than the operator takes.
  """
  operator, y, noise_std = measurement
  rank = len(operator.event)
  lead = x.shape[:x.ndim - rank]
  check(x.shape[len(lead):] == operator.event and lead[:1] == y.shape[:1],
        'log_likelihood', f'x must be [{y.shape[0]}, ..., '
        f'{", ".join(map(str, operator.event))}]', f'shape {x.shape}')
  seen = operator.apply(x.reshape(-1, *operator.event))
  told = jnp.broadcast_to(
      y.reshape(y.shape[0], *(1,) * (len(lead) - 1), *operator.measured),
      (*lead, *operator.measured)).reshape(seen.shape)
  squares = jnp.square(jnp.abs(operator.rotate(told - seen)))
  extra = jnp.broadcast_to(spread, lead).reshape(-1)
  values = jnp.asarray(operator.eigenvalues, squares.dtype)
  variances = noise_std**2 + values * extra.reshape(-1, *(1,) * values.ndim)
  nats = -0.5 * jnp.sum(
      squares / variances + jnp.log(2 * math.pi * variances),
      axis=tuple(range(1, squares.ndim)))
  return nats.reshape(lead)
