"""Invertible networks: neural spline couplings, for normalising flows."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax import checks
from genjax.networks.init import fan_avg_uniform
from genjax.numerics import widen
from genjax.types import Array

_ZEROS = nn.initializers.zeros_init()
_MIN_SHARE = 1e-2  # of a bin in the box, in both directions
_MAX_LOG_SLOPE = 4.0  # at a knot, up or down


def spline(raw: Array, x: Array, bound: float, inverse: bool) -> tuple[
    Array, Array]:
  """Monotone rational-quadratic spline of x, and the log of its slope.

  Neural spline flows (arXiv:1906.04032, eq. 4 to 8). Knots lie in the box
  [-bound, bound]^2; outside of it the spline is the identity, and its slope
  goes over into 1. Widths, heights and slopes are bounded away from 0 and
  infinity whatever `raw` is, and raw = 0 is the identity. Slopes at knots are
  the exponential of a bounded number here, where the paper has a softplus. The
  inverse is that of a point a few roundings away, however steep the spline is.

  Args:
    raw: [..., 3 K - 1], which decide the widths and heights of K bins and the
      slopes at the K - 1 knots between them.
    x: [...].
    bound: half the side of the box.
    inverse: whether to invert the spline.

  Returns:
    y [...] and log dy/dx [...], of the inverse if it is asked for.
  """
  num = (raw.shape[-1] + 1) // 3
  left, width = _bins(raw[..., :num], bound)
  bottom, height = _bins(raw[..., num:2 * num], bound)
  log_slope = _MAX_LOG_SLOPE * jnp.tanh(raw[..., 2 * num:] / _MAX_LOG_SLOPE)
  ends = [(0, 0)] * (raw.ndim - 1)
  before = jnp.exp(jnp.pad(log_slope, [*ends, (1, 0)]))
  after = jnp.exp(jnp.pad(log_slope, [*ends, (0, 1)]))

  outside = jnp.abs(x) >= bound
  # Both branches of `where` are differentiated: this one stays in the box.
  inner = jnp.where(outside, 0, x)
  knots = bottom if inverse else left
  index = jnp.sum(inner[..., None] >= knots[..., 1:], -1)
  here = index[..., None] == jnp.arange(num)
  # Far cheaper to differentiate than a gather.
  left, width, bottom, height, before, after = (
      jnp.sum(jnp.where(here, a, 0), -1)
      for a in (left, width, bottom, height, before, after))

  mean = height / width
  excess = before + after - 2 * mean
  # How far through its bin, of which a point can be outside by rounding: there
  # the spline could fall, and its inverse be the root of a negative number.
  place = (inner - bottom) / height if inverse else (inner - left) / width
  place = jnp.where(place < 0, 0, jnp.where(place > 1, 1, place))
  if inverse:
    # a p^2 + b p = c for the place p, from the nearer end of the bin: there
    # what the root is of is at least mean^2 or b^2.
    rise = place
    turned = rise > 0.5
    rise = jnp.where(turned, 1 - rise, rise)
    first = jnp.where(turned, after, before)
    b = first - rise * excess
    a, c = mean - b, mean * rise
    total = jnp.abs(b) + jnp.sqrt(b**2 + 4 * a * c)
    # Of the two forms of the solution that which does not cancel.
    falls = b < 0
    place = jnp.where(falls, total / jnp.where(falls, 2 * a, 1), 2 * c / total)
    place = jnp.where(turned, 1 - place, place)
  both = place * (1 - place)
  denominator = mean + excess * both
  slope = (before * (1 - place)**2 + 2 * mean * both + after * place**2)
  log_det = 2 * (jnp.log(mean) - jnp.log(denominator)) + jnp.log(slope)
  if inverse:
    y, log_det = left + width * place, -log_det
  else:
    y = bottom + height * (mean * place**2 + before * both) / denominator
  return jnp.where(outside, x, y), jnp.where(outside, 0, log_det)


def _bins(raw: Array, bound: float) -> tuple[Array, Array]:
  """First edges and sizes [..., K] of bins that share [-bound, bound]."""
  num = raw.shape[-1]
  shares = _MIN_SHARE + (1 - num * _MIN_SHARE) * jax.nn.softmax(raw)
  size = 2 * bound * shares
  return jnp.cumsum(size, -1) - size - bound, size


class _Coupling(nn.Module):
  """One coupling, a step of a scan: the carry is (x [..., D], log_det [...]).

  The second half of x goes through a spline that the first half and the
  context decide, and then comes first: coordinates go round, so that each
  takes every place.
  """

  features: int
  depth: int
  num_bins: int
  bound: float
  inverse: bool

  @nn.compact
  def __call__(self, carry, context):
    x, log_det = carry
    half = x.shape[-1] // 2
    if self.inverse:
      x = jnp.roll(x, half, -1)
    kept, moved = jnp.split(x, [half], -1)
    # A spline of one coordinate depends on nothing but its bias: an array
    # without entries could not be saved.
    h = kept if half else jnp.ones_like(moved)
    if context is not None:
      context = jnp.broadcast_to(context, (*h.shape[:-1], context.shape[-1]))
      h = jnp.concatenate([h, context], -1)
    for _ in range(self.depth):
      h = nn.swish(nn.Dense(self.features, kernel_init=fan_avg_uniform)(h))
    per_axis = 3 * self.num_bins - 1
    raw = nn.Dense(moved.shape[-1] * per_axis, kernel_init=_ZEROS)(h)
    raw = raw.reshape(*moved.shape, per_axis)
    moved, gain = spline(raw, moved, self.bound, self.inverse)
    order = [kept, moved] if self.inverse else [moved, kept]
    return (jnp.concatenate(order, -1), log_det + jnp.sum(gain, -1)), None


class SplineCoupling(nn.Module):
  """An invertible map of vectors, and the log-determinant of its Jacobian.

  Couplings of neural spline flows (arXiv:1906.04032), each the identity
  outside of a box and, when new, inside of it. They run under one scan, so
  that the time to compile does not grow with their number.

  Attributes:
    features: width of the network of each coupling.
    depth: hidden layers of it.
    num_layers: number of couplings.
    num_bins: K, of every spline.
    bound: half the side of the box, which should hold the data.
  """

  features: int = 64
  depth: int = 2
  num_layers: int = 6
  num_bins: int = 8
  bound: float = 4.0

  @nn.compact
  def __call__(
      self, x: Array, context: Array | None = None, *, inverse: bool = False
  ) -> tuple[Array, Array]:
    """The map or its inverse, in floats of 32 bits or more.

    Args:
      x: [..., D].
      context: [..., C] that the map depends on, whose batch broadcasts to that
        of x.
      inverse: which of the two.

    Returns:
      y [..., D] and log |det dy/dx| [...], of the inverse if asked for.

    Raises:
      ValueError: x has no axes, or an attribute is out of range.
    """
    where = 'SplineCoupling'
    checks.check(x.ndim >= 1, where, 'x must be [..., D]', f'shape {x.shape}')
    checks.check_positive(where, 'num_layers', self.num_layers)
    checks.check(1 < self.num_bins < 1 / _MIN_SHARE, where,
                 f'num_bins must be in [2, {1 / _MIN_SHARE:.0f})',
                 self.num_bins)
    x = widen(x)
    layers = nn.scan(
        _Coupling, length=self.num_layers, variable_axes={'params': 0},
        split_rngs={'params': True}, in_axes=nn.broadcast, reverse=inverse)
    layer = layers(self.features, self.depth, self.num_bins, self.bound,
                   inverse, name='couplings')
    # Where the couplings leave the first coordinate: brought back at the end.
    turned = self.num_layers * (x.shape[-1] // 2)
    if inverse:
      x = jnp.roll(x, -turned, -1)
    (y, log_det), _ = layer((x, jnp.zeros(x.shape[:-1], x.dtype)),
                            context)
    return y if inverse else jnp.roll(y, turned, -1), log_det
