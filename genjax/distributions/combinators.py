"""Functions from distributions to distributions."""

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape


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
    ValueError: a draw, or log_prob of a value, with fewer axes than the event.
  """

  def check_axes(found: int) -> None:
    check(found >= ndims, 'independent',
          f'params and x must have {ndims} or more batch axes', found)

  def sample(key: Key, params: Params, shape: Shape = ()) -> Array:
    x = base.sample(key, params, shape)
    check_axes(x.ndim - len(shape) - base.event_ndims)
    return x

  def log_prob(params: Params, x: Array) -> Array:
    nats = base.log_prob(params, x)
    check_axes(nats.ndim)
    return sum_trailing(nats, ndims)

  return Distribution(
      sample, log_prob, base.event_ndims + ndims, base.density)
