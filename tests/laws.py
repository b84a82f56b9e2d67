"""Laws that every distribution keeps, each written once.

A law takes a `Family`: what a distribution is, and what scipy says of it. A
new family is one row of a table of these. `float64` runs a test at double
precision, where tolerances can be those of a closed form.
"""

import functools
from typing import Any, Callable, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from scipy import integrate
from scipy import stats


def float64(test):
  """Runs `test` with 64-bit JAX types, and leaves other tests as they were."""

  @functools.wraps(test)
  def run(*args, **kwargs):
    with jax.enable_x64(True):
      return test(*args, **kwargs)

  return run


class Family(NamedTuple):
  """A distribution, batched params of it, and its scipy counterpart."""

  dist: Any  # genjax Distribution
  params: tuple[np.ndarray, ...]  # float64; fields of `make`
  make: Callable[..., Any]  # arrays -> params NamedTuple
  scipy: Callable[..., Any]  # the same arrays -> frozen scipy.stats, scalar
  event_shape: tuple[int, ...] = ()
  bad: tuple[tuple[float, ...], ...] = ()  # scalars outside of the family


def batch_shape(family: Family) -> tuple[int, ...]:
  full = np.broadcast_shapes(*(np.shape(p) for p in family.params))
  return full[:len(full) - len(family.event_shape)]


def params_of(family: Family, dtype=None):
  return family.make(*(jnp.asarray(p, dtype) for p in family.params))


def points_of(family: Family, shape=(4,), dtype=np.float64) -> np.ndarray:
  """Values [*shape, *batch, *event] drawn by scipy."""
  size = shape + batch_shape(family) + family.event_shape
  rng = np.random.default_rng(0)
  return family.scipy(*family.params).rvs(size, random_state=rng).astype(dtype)


def sum_events(family: Family, x: np.ndarray) -> np.ndarray:
  return x.sum(tuple(range(x.ndim - len(family.event_shape), x.ndim)))


@float64
def log_prob_matches_scipy(family: Family):
  x = points_of(family)
  want = sum_events(family, family.scipy(*family.params).logpdf(x))
  got = family.dist.log_prob(params_of(family), jnp.asarray(x))
  chex.assert_shape(got, (4, *batch_shape(family)))
  np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@float64
def density_integrates_to_one(family: Family):
  """By adaptive quadrature, for scalar events; one member of the batch."""
  first = [np.ravel(p)[0] for p in family.params]
  params = family.make(*map(jnp.asarray, first))
  low, high = family.scipy(*first).support()
  log_prob = jax.jit(family.dist.log_prob)
  total, error = integrate.quad(
      lambda x: float(jnp.exp(log_prob(params, jnp.asarray(x)))), low, high)
  assert error < 1e-6
  np.testing.assert_allclose(total, 1, atol=1e-6)


def samples_agree_with_density(family: Family, num: int = 4000):
  """Kolmogorov-Smirnov on the probability transform of every draw.

  Events are independent here, so the transforms of all entries are one sample
  of U(0, 1). A right sampler fails at p < 1e-3 for one seed in a thousand.
  """
  x = family.dist.sample(jax.random.key(1), params_of(family), (num,))
  chex.assert_shape(x, (num, *batch_shape(family), *family.event_shape))
  u = family.scipy(*family.params).cdf(np.asarray(x, np.float64))
  assert stats.kstest(u.ravel(), 'uniform').pvalue > 1e-3
  for member in u.reshape(num, -1).T[:6]:  # and each member on its own
    assert stats.kstest(member, 'uniform').pvalue > 1e-4
  if u[0].size > 1:  # entries of one draw do not share their noise
    corr = np.corrcoef(u.reshape(num, -1).T) - np.eye(u[0].size)
    assert np.abs(corr).max() < 5 / np.sqrt(num)


def jit_equals_eager(family: Family):
  """To 16 units in the last place: a compiler may fuse and reorder."""
  params, x = params_of(family), jnp.asarray(points_of(family), jnp.float32)
  chex.assert_trees_all_close(
      jax.jit(family.dist.log_prob)(params, x), family.dist.log_prob(params, x),
      rtol=2e-6, atol=2e-6)
  draw = functools.partial(family.dist.sample, shape=(2,))
  chex.assert_trees_all_close(
      jax.jit(draw)(jax.random.key(0), params),
      draw(jax.random.key(0), params), rtol=2e-6, atol=2e-6)


def vmap_over_params_equals_loop(family: Family):
  """Objects that hold a batch shape fail this silently."""
  full = batch_shape(family) + family.event_shape
  arrays = [np.broadcast_to(p, full).astype(np.float32) for p in family.params]
  params = family.make(*map(jnp.asarray, arrays))
  x = jnp.asarray(points_of(family, ()), jnp.float32)
  keys = jax.random.split(jax.random.key(0), full[0])
  rows = [family.make(*(a[i] for a in params)) for i in range(full[0])]
  got = jax.vmap(family.dist.log_prob)(params, x)
  want = jnp.stack([family.dist.log_prob(r, x[i]) for i, r in enumerate(rows)])
  chex.assert_trees_all_close(got, want, rtol=2e-6, atol=2e-6)
  want = jnp.stack([family.dist.sample(k, r) for k, r in zip(keys, rows)])
  chex.assert_trees_all_close(jax.vmap(family.dist.sample)(keys, params), want,
                              rtol=2e-6, atol=2e-6)


def dtype_is_kept(family: Family, dtype):
  params = params_of(family, dtype)

  def draw_and_judge(params):
    x = family.dist.sample(jax.random.key(0), params, (2,))
    return x, family.dist.log_prob(params, x)

  chex.assert_type(list(jax.eval_shape(draw_and_judge, params)), dtype)


def bad_params_give_nan(family: Family):
  """In the sample and in the log-density, for that member of a batch only."""
  good = [np.ravel(p)[0] for p in family.params]
  event = family.event_shape
  for bad in family.bad:
    both = [np.broadcast_to(np.reshape(pair, (2,) + (1,) * len(event)),
                            (2, *event)).astype(np.float32)
            for pair in zip(good, bad)]
    params = family.make(*map(jnp.asarray, both))
    nats = family.dist.log_prob(params, jnp.ones((2, *event)))
    x = family.dist.sample(jax.random.key(0), params)
    np.testing.assert_array_equal(np.isnan(nats), [False, True], str(bad))
    np.testing.assert_array_equal(
        np.isnan(x).reshape(2, -1).any(1), [False, True], str(bad))


def gradients_are_finite_in_the_tails(family: Family, scales: float = 100.0):
  """At `scales` standard deviations from the mean, in x and every param."""
  frozen = family.scipy(*family.params)
  params = params_of(family)
  for sign in (-1, 1):
    x = jnp.asarray(np.broadcast_to(
        frozen.mean() + sign * scales * frozen.std(),
        batch_shape(family) + family.event_shape), jnp.float32)
    grads = jax.grad(lambda p, x: jnp.sum(family.dist.log_prob(p, x)),
                     argnums=(0, 1))(params, x)
    chex.assert_tree_all_finite(grads)
    assert float(jnp.min(jnp.abs(grads[1]))) > 0
