"""Functions from distributions to distributions."""

from genjax.distributions.base import Distribution
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Params


def independent(base: Distribution, ndims: int) -> Distribution:
  """Sums the last `ndims` batch axes of `base` into one event.

  Args:
    base: any distribution.
    ndims: how many trailing batch axes become part of the event; a normal over
      images [H, W, C] is `independent(normal, 3)`.

  Returns:
    A distribution of the same params and samples, whose log_prob has `ndims`
    axes fewer.

  Raises:
    ValueError: log_prob of a value with fewer axes than the event.
  """

  def log_prob(params: Params, x: Array) -> Array:
    nats = base.log_prob(params, x)
    if nats.ndim < ndims:
      raise ValueError(
          f'independent: params and x must have {ndims} or more batch axes, '
          f'got {nats.ndim}')
    return sum_trailing(nats, ndims)

  return Distribution(
      base.sample, log_prob, base.event_ndims + ndims, base.density)
