"""What a distribution is: two pure functions of a params pytree."""

from typing import Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import PyTree
from genjax.types import Shape


class Sample(Protocol):
  """Draws x [*shape, *batch, *event]."""

  def __call__(self, key: Key, params: Params, shape: Shape = ()) -> Array:
    ...


class LogProb(Protocol):
  """log p(x | params) in nats, normalised: [*batch]."""

  def __call__(self, params: Params, x: Array) -> Array:
    ...


class Distribution(NamedTuple):
  """A family p(x | params), said as two pure functions.

  Params is a NamedTuple of arrays. No shape, no key and no Python number is
  stored here: the batch is what the arrays broadcast to, so `vmap` over params
  is a batch of distributions. The last four fields are closed forms, None
  where there is none; a moment that does not exist is NaN.
  """

  sample: Sample  # (key, params, shape=()) -> x [*shape, *batch, *event]
  log_prob: LogProb  # (params, x) -> [*batch], nats
  event_ndims: int = 0  # static rank of one event: a rank, never a shape
  density: str = 'exact'  # 'exact' | 'lower bound' | 'estimate'
  mean: Callable[[Params], Array] | None = None  # [*batch, *event]
  variance: Callable[[Params], Array] | None = None  # of each entry, likewise
  entropy: Callable[[Params], Array] | None = None  # [*batch], nats
  # (params, x) -> P(X <= x) [*batch], of scalar events.
  cdf: Callable[[Params, Array], Array] | None = None


class MonteCarlo(NamedTuple):
  """A number estimated from samples, and how far off it is likely to be."""

  value: Array
  standard_error: Array  # of `value`, in its unit


def expectation(
    key: Key,
    dist: Distribution,
    params: Params,
    f: Callable[[Array], PyTree],
    num_samples: int,
) -> PyTree:
  """E[f(x)] by the mean over independent draws: the law of large numbers.

  Args:
    key: of the draws.
    dist: any distribution.
    params: its params.
    f: maps all draws [N, *batch, *event] to a pytree of [N, ...].
    num_samples: N, 2 or more.

  Returns:
    f's pytree with a `MonteCarlo` for each array: the mean over the draws
    and its standard error, the sample standard deviation / sqrt(N).

  Raises:
    ValueError: fewer than two samples, or f does not keep their axis.
  """
  check(num_samples >= 2, 'expectation', 'num_samples must be 2 or more',
        num_samples)
  values = f(dist.sample(key, params, (num_samples,)))
  for value in jax.tree.leaves(values):
    check(jnp.shape(value)[:1] == (num_samples,), 'expectation',
          f'f must return [{num_samples}, ...]', f'shape {jnp.shape(value)}')
  return jax.tree.map(mean_of, values)


def mean_of(draws: Array) -> MonteCarlo:
  """Mean of independent draws [N, ...] and its standard error."""
  num = draws.shape[0]
  dtype = jnp.result_type(draws, float)
  draws = jnp.asarray(draws, jnp.promote_types(dtype, jnp.float32))
  mean = jnp.mean(draws, axis=0)
  away = draws - mean
  # In a unit of the greatest, as squares of others may leave the floats.
  unit = jax.lax.stop_gradient(jnp.max(jnp.abs(away), axis=0, initial=0))
  unit = jnp.where(unit == 0, 1, unit)
  spread = unit * jnp.sqrt(jnp.sum(jnp.square(away / unit), axis=0)
                           / (num - 1))
  return MonteCarlo(mean.astype(dtype), (spread / num**0.5).astype(dtype))
