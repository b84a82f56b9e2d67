"""Densities without a shape of their own: histograms and kernel estimates."""

import math
from typing import NamedTuple, Sequence

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_rank
from genjax.distributions.base import Distribution
from genjax.distributions.discrete import categorical
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import positive
from genjax.distributions.params import rounded
from genjax.numerics import standard_deviation
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

_BLOCK = 256  # queries against all points at once


class HistogramParams(NamedTuple):
  """A box cut into equal cells, and what lies in each.

  No batch axes: a batch of histograms is a `vmap`.
  """

  low: Array  # [D], corner of the box
  high: Array  # [D], opposite corner
  logits: Array  # [M_1, ..., M_D], log masses of the cells, up to a constant


class KernelDensityParams(NamedTuple):
  """The points of a kernel density estimate, and its bandwidth.

  No batch axes: a batch of estimates is a `vmap`.
  """

  points: Array  # [N, D]
  scale: Array  # [] or [D], standard deviation of the Gaussian kernel


def _cells(params: HistogramParams) -> tuple[Array, Array]:
  """Log masses [M] of all cells, of sum one, and the edges [D] of a cell.

  Both NaN where the box is empty, or its cells no wider than the floats there.
  """
  low, high, logits = params
  edges = (high - low) / jnp.array(logits.shape, low.dtype)
  edges = jnp.where(jnp.all(edges > _finest(params, low.dtype)), edges, jnp.nan)
  return jax.nn.log_softmax(jnp.ravel(logits)) + 0 * edges[0], edges


def _finest(params: HistogramParams, dtype) -> Array:
  """A width [D] of which no cell is without a float of `dtype`."""
  return 4 * float(jnp.finfo(dtype).eps) * jnp.maximum(
      jnp.abs(params.low), jnp.abs(params.high))


def _edge(params: HistogramParams, corner: Array) -> Array:
  """Where cells `corner` [..., D] begin: low + corner * (high - low) / bins.

  The same float in every program, as the draws and the density of one cell must
  agree on its ends. A compiler may keep more digits of a product that it adds:
  the width is cut into parts of so few bits that their products are exact.
  """
  low, high, logits = params
  bins = jnp.array(logits.shape)
  info = jnp.finfo(low.dtype)
  digits = info.nmant + 1
  few = max(1, digits - max(logits.shape).bit_length())
  count = corner.astype(low.dtype)
  rest, edge = (high - low) / bins.astype(low.dtype), low
  for _ in range(-(-digits // few)):
    part = jax.lax.reduce_precision(rest, info.nexp, few - 1)
    rest, edge = rest - part, edge + count * part
  return jnp.where(corner >= bins, high, edge)


def _histogram_sample(
    key: Key, params: HistogramParams, shape: Shape = ()
) -> Array:
  dtype = jnp.result_type(*params, float)
  wide = jnp.promote_types(dtype, jnp.float32)
  params = HistogramParams(*(jnp.asarray(p, wide) for p in params))
  masses, edges = _cells(params)
  bins = params.logits.shape
  key_cell, key_place = jax.random.split(key)
  cell = categorical.sample(key_cell, CategoricalParams(masses), shape)
  corner = jnp.stack(jnp.unravel_index(cell, bins), -1)
  place = jax.random.uniform(key_place, corner.shape, masses.dtype)
  first, last = _edge(params, corner), _edge(params, corner + 1)
  # Rounding can take a draw over an end of its cell, to where no mass may be.
  x = (first + place * (last - first)).astype(dtype)
  x = jnp.where(x < first, jnp.nextafter(x, jnp.full_like(x, jnp.inf)), x)
  x = jnp.where(x >= last, jnp.nextafter(x, jnp.full_like(x, -jnp.inf)), x)
  known = jnp.all(edges > _finest(params, dtype)) & (cell >= 0)
  return jnp.where(known[..., None], x, jnp.nan)


def _cell_of(params: HistogramParams, x: Array) -> tuple[Array, Array]:
  """Index [...] of the cell of x [..., D], and whether x is in the box."""
  bins = params.logits.shape
  check(x.shape[-1:] == (len(bins),), 'histogram',
        f'x must be [..., {len(bins)}]', f'shape {x.shape}')
  inside = jnp.all((x >= params.low) & (x <= params.high), -1)
  corner = (x - params.low) / _cells(params)[1]
  corner = jnp.where(inside[..., None], corner, 0).astype(jnp.int32)
  # The quotient is rounded: what counts is on which side of an edge x is.
  corner = corner + (x >= _edge(params, corner + 1)) - (
      x < _edge(params, corner))
  # The box is closed: its upper faces belong to the last cells.
  cell = jnp.ravel_multi_index(
      tuple(jnp.moveaxis(corner, -1, 0)), bins, mode='clip')
  return cell, inside


def _histogram_log_prob(params: HistogramParams, x: Array) -> Array:
  masses, edges = _cells(params)
  cell, inside = _cell_of(params, x)
  nats = masses[cell] - jnp.sum(jnp.log(edges))
  # NaN in x, not the value, must come through.
  nats = nats + jnp.sum(jnp.where(jnp.isnan(x), x, 0), -1)
  return minus_inf_where(~inside, nats)


def _histogram_entropy(params: HistogramParams) -> Array:
  masses, edges = _cells(params)
  surprise = jnp.where(masses == -jnp.inf, 0, -masses)
  return jnp.sum(jnp.exp(masses) * surprise) + jnp.sum(jnp.log(edges))


histogram = rounded(Distribution(
    _histogram_sample, _histogram_log_prob, 1, entropy=_histogram_entropy)
                    )._replace(sample=_histogram_sample)
"""Uniform in each cell of a box; density 0 outside of the box.

A cell holds the floats from its lower edge up to the next, where draws stay. It
must be wider than 4 of their spacings in the far corner of the box: of thinner
ones some hold no float, and all is NaN (in 16 bits the draws alone are).
"""


def fit_histogram(
    x: Array, low: Array, high: Array, bins: Shape, *,
    pseudo_count: float = 0.0
) -> HistogramParams:
  """Shares of x [N, D] in the cells of a box, the maximum likelihood for 0.

  In float32, or float64 where the points are; NaN where one of them is.

  Args:
    x: points, of which those outside of the box do not count.
    low: [D], a corner of the box.
    high: [D], the opposite corner.
    bins: number of cells along each of the D axes.
    pseudo_count: added to the count of every cell, so that no density in the
      box is 0: the posterior mean under a symmetric Dirichlet prior.

  Raises:
    ValueError: sizes that do not agree, or a negative pseudo-count.
  """
  where = 'fit_histogram'
  check_rank(where, 'x', x, 2)
  check(len(bins) == x.shape[1], where,
        f'bins must have an entry for each of {x.shape[1]} axes', bins)
  check(pseudo_count >= 0, where, 'pseudo_count must not be negative',
        pseudo_count)
  x = widen(x)
  x = x.astype(jnp.result_type(x, low, high))
  low, high = (jnp.broadcast_to(jnp.asarray(corner, x.dtype), x.shape[1:])
               for corner in (low, high))
  empty = HistogramParams(low, high, jnp.zeros(bins, x.dtype))
  cell, inside = _cell_of(empty, x)
  # Whole numbers: a float's count stands still at 2^24.
  counts = jnp.zeros(math.prod(bins), jnp.int32).at[cell].add(
      inside.astype(jnp.int32)).astype(x.dtype)
  counts = jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, counts)
  logits = jnp.log(counts + pseudo_count).reshape(bins)
  return empty._replace(logits=logits)


def _kernel(params: KernelDensityParams) -> KernelDensityParams:
  points, scale = params
  return KernelDensityParams(
      points, jnp.broadcast_to(positive(scale), points.shape[1:]))


def _kernel_sample(
    key: Key, params: KernelDensityParams, shape: Shape = ()
) -> Array:
  points, scale = _kernel(params)
  key_point, key_noise = jax.random.split(key)
  chosen = points[jax.random.randint(key_point, shape, 0, points.shape[0])]
  return chosen + scale * jax.random.normal(
      key_noise, chosen.shape, points.dtype)


def _kernel_log_prob(params: KernelDensityParams, x: Array) -> Array:
  points, scale = _kernel(params)
  num, dim = points.shape
  check(x.shape[-1:] == (dim,), 'kernel_density', f'x must be [..., {dim}]',
        f'shape {x.shape}')

  def log_sum(x):
    # Differences, not expanded squares, which cancel where scale is small.
    z = (x - points) / scale
    return jax.nn.logsumexp(-0.5 * jnp.sum(z**2, -1))

  # In blocks: all against all would be N^2 numbers.
  nats = jax.lax.map(log_sum, x.reshape(-1, dim), batch_size=_BLOCK)
  log_volume = jnp.sum(jnp.log(scale)) + 0.5 * dim * math.log(2 * math.pi)
  return nats.reshape(x.shape[:-1]) - math.log(num) - log_volume


kernel_density = rounded(Distribution(
    _kernel_sample, _kernel_log_prob, 1,
    mean=lambda params: jnp.mean(params.points, 0),
    variance=lambda params: (standard_deviation(params.points)**2
                             + _kernel(params).scale**2)))
"""Equal Gaussians around points: Parzen 1962 (doi:10.1214/aoms/1177704472)."""


def fit_kernel_density(
    x: Array, factors: Sequence[float] = (1.0,)
) -> KernelDensityParams:
  """Kernel density estimate, its bandwidth by leave-one-out likelihood.

  Scott's rule (Scott 1992), std_d N^(-1 / (D + 4)) along axis d, is right for
  a Gaussian and too wide for all else. Of its multiples by `factors` the one
  is taken under which the points are likeliest, each judged by the others
  (Duin 1976); (1.0,) is Scott's rule itself. Where all points agree along an
  axis, the spacing of floats at their value stands for its deviation.

  Args:
    x: [N, D], N >= 2.
    factors: candidates.

  Raises:
    ValueError: x is no matrix of 2 points, or there are no factors.
  """
  where = 'fit_kernel_density'
  check_rank(where, 'x', x, 2)
  num, dim = x.shape
  check(num >= 2, where, 'x must hold 2 points', num)
  check(len(factors) > 0, where, 'factors must not be empty', factors)
  x = widen(x)
  scott = _spread(x) * num ** (-1 / (dim + 4))
  candidates = jnp.asarray(factors, x.dtype)

  def left_out(i):
    squared = jnp.sum(((x - x[i]) / scott)**2, -1).at[i].set(jnp.inf)
    return jax.nn.logsumexp(-0.5 * squared / candidates[:, None]**2, axis=1)

  exponents = jax.lax.map(left_out, jnp.arange(num), batch_size=_BLOCK)
  # Up to what does not depend on the factor.
  score = jnp.mean(exponents, 0) - dim * jnp.log(candidates)
  return KernelDensityParams(x, scott * candidates[jnp.argmax(score)])


def _spread(x: Array) -> Array:
  """Standard deviation along each axis of x [N, D], but never 0: [D].

  No less than what rounding alone makes of the values there, or of all of them
  where these are 0; and 1 where all of x is.
  """
  finest = jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(x), 0)
  finest = jnp.where(finest > 0, finest, jnp.max(finest))
  return jnp.maximum(standard_deviation(x), jnp.where(finest > 0, finest, 1))
