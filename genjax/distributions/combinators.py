"""Functions from distributions to distributions."""

from functools import partial
from functools import reduce
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.bijectors import Bijector
from genjax.distributions.discrete import categorical
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import widened
from genjax.numerics import broadcast_right
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape

_TOGETHER = 8  # components in one expression; more would compile longer


class MixtureParams(NamedTuple):
  """Log weights up to a constant, and the params of K components."""

  logits: Array  # [K], or [K, *batch]; -inf is a weight of zero
  components: Params  # of the base; every leaf is [K, ...]


class TransformedParams(NamedTuple):
  """Params of the base and of the bijector."""

  base: Params
  bijector: Params


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
    ValueError: `ndims` below 0; a draw, or log_prob of a value, with fewer axes
      than the event.
  """
  check(ndims >= 0, 'independent', 'ndims must be 0 or more', ndims)

  def check_axes(found: int) -> None:
    check(found >= ndims, 'independent',
          f'params and x must have {ndims} or more batch axes', found)

  def sample(key: Key, params: Params, shape: Shape = ()) -> Array:
    x = base.sample(key, params, shape)
    check_axes(x.ndim - len(shape) - base.event_ndims)
    return x

  def total(nats: Array) -> Array:
    check_axes(nats.ndim)
    return sum_trailing(nats, ndims)

  entropy = base.entropy
  return Distribution(
      sample, widened(lambda params, x: total(base.log_prob(params, x))),
      base.event_ndims + ndims, base.density, base.mean, base.variance,
      entropy and widened(lambda params: total(entropy(params))))


def mixture(base: Distribution) -> Distribution:
  """One of K components of `base`, chosen by weight: p = sum_k w_k p_k.

  A component of weight zero is as if it were not there. Bad logits (NaN, +inf,
  or -inf for all) are bad params of every component. A component with bad
  params makes the log-density NaN, and those draws that choose it.

  Args:
    base: any distribution whose params have their batch axes first; so it is
      not itself a mixture, whose axis K comes before the batch.

  Returns:
    A distribution of `MixtureParams`, with the moments and the cdf that `base`
    has. Every leaf of its params begins with the axis K, and what follows is
    the base's batch, broadcast as ever: logits of [K] weigh all its members
    alike, and each member of each draw has a choice of its own. A draw gathers
    the params of the chosen components, so it holds one copy for every event.

  Raises:
    ValueError: params whose leaves do not all begin with one axis K.
  """

  def logits_of(params: MixtureParams) -> Array:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(params)]
    check(len({s[:1] for s in shapes}) == 1 and () not in shapes
          and shapes[0][0] > 0, 'mixture',
          'logits and components must begin with one axis K',
          f'shapes {", ".join(map(str, shapes))}')
    return jnp.asarray(params.logits)

  def sample(key: Key, params: MixtureParams, shape: Shape = ()) -> Array:
    key_index, key_x = jax.random.split(key)
    logits = logits_of(params)
    num = logits.shape[0]
    batch, members = _members(base, params)
    logits = jnp.broadcast_to(jnp.moveaxis(logits, 0, -1), (*batch, num))
    index = categorical.sample(key_index, CategoricalParams(logits), shape)
    # Index K, of no component, is filled with params that are bad.
    where = jnp.where(index < 0, num, index), *np.indices(batch, sparse=True)
    chosen = jax.tree.map(lambda leaf: leaf.at[where].get(mode='fill'), members)
    return base.sample(key_x, chosen)

  def log_prob(params: MixtureParams, x: Array) -> Array:

    def joint(log_weight, component):
      return jnp.where(log_weight == -jnp.inf, -jnp.inf,
                       log_weight + base.log_prob(component, x))

    log_weights = jax.nn.log_softmax(logits_of(params), axis=0)
    return _log_sum_exp(joint, log_weights, params.components)

  def average(f, params: MixtureParams, *x: Array) -> Array:
    return total(lambda c, weight, _: weight * f(c, *x), params)

  def total(f, params: MixtureParams) -> Array:
    """Sum of f(component, weight, its root) of those that have a weight."""

    def term(weight, component):
      weight = broadcast_right(weight, weight.ndim + base.event_ndims)
      root = jnp.sqrt(jnp.where(weight == 0, 1, weight))
      return jnp.where(weight == 0, 0, f(component, weight, root))

    weights = jax.nn.softmax(logits_of(params), axis=0)
    return jnp.sum(jax.vmap(term)(weights, params.components), axis=0)

  def total_variance(mean, variance, params: MixtureParams) -> Array:
    centre = average(mean, params)

    def term(component, _, root):
      # By the root of the weight: a square alone may overflow.
      return jnp.square(root * (mean(component) - centre))

    return average(variance, params) + total(term, params)

  return Distribution(
      sample, widened(log_prob), base.event_ndims, base.density,
      mean=base.mean and widened(partial(average, base.mean)),
      variance=base.mean and base.variance and widened(partial(
          total_variance, base.mean, base.variance)),
      cdf=base.cdf and widened(partial(average, base.cdf)))


def _members(
    base: Distribution, params: MixtureParams
) -> tuple[Shape, Params]:
  """The batch of a mixture, and its components with leaves [K, *batch, *own].

  Which axes of a leaf are the batch's is for `base` to say: axes put in front
  of one leaf at a time come out in front of the batch.
  """
  leaves, tree = jax.tree.flatten(
      jax.tree.map(jnp.asarray, params.components))
  firsts = [leaf[0] for leaf in leaves]

  def batch_of(*leaves) -> Shape:
    x = jax.eval_shape(
        base.sample, jax.random.key(0), jax.tree.unflatten(tree, leaves))
    return x.shape[:len(x.shape) - base.event_ndims]

  batch = jnp.broadcast_shapes(
      batch_of(*firsts), jnp.shape(params.logits)[1:])
  ndims = len(batch)

  def whole(i: int, leaf: Array) -> Array:
    lifted = list(firsts)
    lifted[i] = jnp.expand_dims(firsts[i], range(ndims + 1))
    own = lifted[i].ndim - len(batch_of(*lifted))
    padding = range(1, 2 + ndims + own - leaf.ndim)
    return jnp.broadcast_to(
        jnp.expand_dims(leaf, padding),
        (*leaf.shape[:1], *batch, *leaf.shape[leaf.ndim - own:]))

  return batch, jax.tree.unflatten(
      tree, [whole(i, leaf) for i, leaf in enumerate(leaves)])


def _log_sum_exp(f: Callable[..., Array], *xs: Params) -> Array:
  """log sum exp f(*row) over the rows of `xs`; its gradient at -inf is zero.

  A few rows at a time, for which a compiler makes one loop over the results:
  nothing of the size of rows times results is held, and on a CPU it takes a
  fifth of the time of an array of all.
  """
  result = jax.eval_shape(f, *jax.tree.map(lambda leaf: leaf[0], xs))
  most = jnp.finfo(result.dtype).max  # a finite level keeps inf - inf away

  def add(state: tuple[Array, Array], rows):
    level, total = state
    block = jax.vmap(f)(*rows)
    # Gradients of parts are put together at once, those of items one by one.
    nats = [part[0] for part in jax.lax.split(block, [1] * block.shape[0])]
    higher = jax.lax.stop_gradient(
        jnp.minimum(reduce(jnp.maximum, nats, level), most))
    total = total * jnp.exp(level - higher)
    return (higher, sum((jnp.exp(row - higher) for row in nats), total)), None

  state = (jnp.full(result.shape, -most, result.dtype),
           jnp.zeros(result.shape, result.dtype))
  num = jax.tree.leaves(xs)[0].shape[0]
  rest = num % _TOGETHER
  if num > rest:
    state, _ = jax.lax.scan(add, state, jax.tree.map(
        lambda leaf: leaf[rest:].reshape(-1, _TOGETHER, *leaf.shape[1:]), xs))
  if rest:
    state, _ = add(state, jax.tree.map(lambda leaf: leaf[:rest], xs))
  level, total = state
  none = total == 0
  return jnp.where(none, -jnp.inf, level + jnp.log(jnp.where(none, 1, total)))


def transformed(base: Distribution, bijector: Bijector) -> Distribution:
  """Distribution of x = f(z), z of `base`: log p(z) - log |det dx/dz|.

  Outside of the range of f, its ends included, the log-density is -inf.

  Args:
    base: any distribution of continuous z.
    bijector: f. Ranks may differ, as of a normal for each entry and a flow of
      vectors, or of images and an elementwise map.

  Returns:
    A distribution of `TransformedParams`, of the higher of both ranks.

  Raises:
    ValueError: a draw with a bijector whose params broadcast axes that the
      base's params have: their members would share its noise.
  """
  event_ndims = max(base.event_ndims, bijector.event_ndims)

  def sample(key: Key, params: TransformedParams, shape: Shape = ()) -> Array:
    z = jax.eval_shape(base.sample, key, params.base)
    x = jax.eval_shape(bijector.forward, params.bijector, z)
    # Axes that only the bijector's params have; each member has its own z.
    batch = x.shape[:len(x.shape) - len(z.shape)]
    check(x.shape == batch + z.shape, 'transformed',
          f"the base's params must make draws like {x.shape}", z.shape)
    return bijector.forward(
        params.bijector, base.sample(key, params.base, (*shape, *batch)))

  def log_prob(params: TransformedParams, x: Array) -> Array:
    z = bijector.inverse(params.bijector, x)
    outside = jnp.isinf(z)
    z = jnp.where(outside, 0, z)
    nats = base.log_prob(params.base, z)
    log_det = bijector.log_det(params.bijector, z)
    return minus_inf_where(
        jnp.any(outside, axis=tuple(range(-event_ndims, 0))),
        sum_trailing(nats, event_ndims - base.event_ndims)
        - sum_trailing(log_det, event_ndims - bijector.event_ndims))

  return Distribution(sample, log_prob, event_ndims, base.density)


def reparameterize(
    base: Distribution, constrain: Callable[[Params], Params]
) -> Distribution:
  """`base` with params that may take any value, as gradient descent needs.

  Args:
    base: any distribution.
    constrain: maps the new params, any pytree of arrays, to the base's:
      `lambda p: NormalParams(p.loc, jnp.exp(p.scale))`.

  Returns:
    A distribution whose functions at p are those of `base` at constrain(p).
  """

  def at(f):
    return f and (lambda params, *x: f(constrain(params), *x))

  def sample(key: Key, params: Params, shape: Shape = ()) -> Array:
    return base.sample(key, constrain(params), shape)

  return base._replace(
      sample=sample, log_prob=at(base.log_prob), mean=at(base.mean),
      variance=at(base.variance), entropy=at(base.entropy), cdf=at(base.cdf))
