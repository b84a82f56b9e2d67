"""Laws that every distribution keeps, each written once.

A law takes a `Family`: what a distribution is, and what scipy says of it. A
new family is one row of a table of these, and `over` makes a test of every law
and row. `float64` runs a test at double precision, where tolerances can be
those of a closed form.
"""

import functools
from typing import Any, Callable, NamedTuple
import warnings

import chex
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from scipy import integrate
from scipy import stats

# From the far left tail to the far right one.
_TAIL = 10.0**np.arange(-10, 0)
QUANTILES = np.concatenate([_TAIL, [0.3, 0.5, 0.7], 1 - _TAIL[::-1]])


def float64(test):
  """Runs `test` with 64-bit JAX types, and leaves other tests as they were."""

  @functools.wraps(test)
  def run(*args, **kwargs):
    with jax.enable_x64(True):
      return test(*args, **kwargs)

  return run


def compiled(functions):
  """A NamedTuple of functions, each made one program instead of many."""
  return functions._replace(**{
      name: jax.jit(f, static_argnums=2 if name == 'sample' else ())
      for name, f in functions._asdict().items() if callable(f)})


class Family(NamedTuple):
  """A distribution, batched params of it, and its scipy counterpart."""

  dist: Any  # genjax Distribution
  params: tuple[np.ndarray, ...]  # float64; fields of `make`
  make: Callable[..., Any]  # arrays -> params NamedTuple
  scipy: Callable[..., Any]  # the same arrays -> frozen scipy.stats, scalar
  event_shape: tuple[int, ...] = ()
  bad: tuple[tuple[float, ...], ...] = ()  # scalars outside of the family
  outside: tuple[float, ...] = ()  # points outside of the support
  discrete: bool = False


def batch_shape(family: Family) -> tuple[int, ...]:
  full = np.broadcast_shapes(*(np.shape(p) for p in family.params))
  return full[:len(full) - len(family.event_shape)]


def params_of(family: Family, dtype=None):
  return family.make(*(jnp.asarray(p, dtype) for p in family.params))


def points_of(family: Family, quantiles=QUANTILES, dtype=np.float64):
  """Values [Q, *batch, *event]: the same quantile of every entry."""
  rank = len(batch_shape(family)) + len(family.event_shape)
  q = np.reshape(quantiles, (-1,) + (1,) * rank)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # scipy's, of roots that it finds late
    return family.scipy(*family.params).ppf(q).astype(dtype)


def sum_events(family: Family, x: np.ndarray) -> np.ndarray:
  return x.sum(tuple(range(x.ndim - len(family.event_shape), x.ndim)))


def scipy_log_prob(family: Family, x: np.ndarray, dtype=np.float64):
  """Nats [...] of scipy, in float64, at params rounded to `dtype`."""
  frozen = family.scipy(*(np.asarray(p, dtype).astype(np.float64)
                          for p in family.params))
  x = x.astype(np.float64)
  return sum_events(family, frozen.logpmf(x) if family.discrete
                    else frozen.logpdf(x))


@float64
def log_prob_matches_scipy(family: Family, rtol=1e-10):
  """At every quantile; relative, or absolute where the density is near 1."""
  x = points_of(family)
  got = jax.jit(family.dist.log_prob)(params_of(family), jnp.asarray(x))
  chex.assert_shape(got, (len(x), *batch_shape(family)))
  np.testing.assert_allclose(got, scipy_log_prob(family, x), rtol=rtol,
                             atol=rtol)


def log_prob_matches_scipy_in_float32(family: Family):
  """At the rounded point and params: what float32 alone can answer for."""
  x = points_of(family, dtype=np.float32)
  got = jax.jit(family.dist.log_prob)(
      params_of(family, jnp.float32), jnp.asarray(x))
  want = scipy_log_prob(family, x, np.float32)
  # A point that was rounded onto the end of the support, or is so small that
  # XLA takes it for 0, says nothing.
  tiny = (x != 0) & (np.abs(x) < np.finfo(np.float32).tiny)
  kept = np.isfinite(want) & (sum_events(family, tiny) == 0)
  assert kept.mean() > 0.8 and got.dtype == jnp.float32
  np.testing.assert_allclose(
      np.asarray(got)[kept], want[kept], rtol=2e-5, atol=2e-5)


def log_prob_matches_scipy_where_digits_are_lost(family: Family):
  """At large params scipy itself cancels, in float64 to about 1e-10."""
  log_prob_matches_scipy(family, rtol=1e-9)
  log_prob_matches_scipy_in_float32(family)


@float64
def closed_forms_match_scipy(family: Family):
  """Mean, variance, entropy and cdf, as far as there are closed forms."""
  params, frozen = params_of(family), family.scipy(*family.params)
  full = np.broadcast_shapes(*(np.shape(p) for p in family.params))
  moments = _moments(family, params)
  for name, want in (('mean', frozen.mean()), ('variance', frozen.var())):
    if name in moments:
      chex.assert_shape(moments[name], full)
      np.testing.assert_allclose(
          moments[name], np.broadcast_to(want, full), rtol=1e-10, err_msg=name)
  if 'entropy' in moments:
    want = sum_events(family, np.broadcast_to(frozen.entropy(), full))
    chex.assert_shape(moments['entropy'], batch_shape(family))
    np.testing.assert_allclose(
        moments['entropy'], want, rtol=1e-10, atol=1e-10)
  if family.dist.cdf is not None:
    cdf, x = jax.jit(family.dist.cdf), points_of(family)
    got = cdf(params, jnp.asarray(x))
    chex.assert_shape(got, (len(x), *full))
    np.testing.assert_allclose(got, frozen.cdf(x), rtol=1e-9, atol=1e-12)
    # Between the points that a discrete variable takes, too.
    x = x + 0.25 if family.discrete else x - np.abs(x) - 1e3
    np.testing.assert_allclose(cdf(params, jnp.asarray(x)), frozen.cdf(x),
                               rtol=1e-9, atol=1e-12)


def _moments(family: Family, params) -> dict[str, Any]:
  """Those that have a closed form, by one program."""
  closed = {name: getattr(family.dist, name)
            for name in ('mean', 'variance', 'entropy')}
  return jax.jit(lambda params: {
      name: f(params) for name, f in closed.items() if f})(params)


def moments_match_scipy_in_float32(family: Family):
  """And the entropy, of the params as they are rounded."""
  frozen = family.scipy(*(np.asarray(p, np.float32).astype(np.float64)
                          for p in family.params))
  truth = {'mean': frozen.mean, 'variance': frozen.var,
           'entropy': frozen.entropy}
  for name, got in _moments(family, params_of(family, jnp.float32)).items():
    want = np.broadcast_to(truth[name](), got.shape)
    kept = np.isfinite(want)  # scipy has inf for some that do not exist
    assert kept.any()
    np.testing.assert_allclose(
        np.asarray(got)[kept], want[kept], rtol=2e-5,
        atol=2e-5 * (name == 'entropy'), err_msg=name)


@float64
def probabilities_sum_to_one(family: Family):
  """By adaptive quadrature or a sum, for the first member of the batch."""
  first = [np.ravel(p)[0] for p in family.params]
  params = family.make(*map(jnp.asarray, first))
  frozen = family.scipy(*first)
  log_prob = jax.jit(family.dist.log_prob)
  if family.discrete:
    x = np.arange(frozen.ppf(0), frozen.ppf(1 - 1e-14) + 2)
    total = np.sum(np.exp(log_prob(params, x)))
  else:
    pieces = frozen.ppf([0, 1e-3, 0.5, 1 - 1e-3, 1])  # a peak is not missed
    parts = [integrate.quad(lambda x: np.exp(log_prob(params, x)), *ends)
             for ends in zip(pieces[:-1], pieces[1:])]
    assert sum(error for _, error in parts) < 1e-6
    total = sum(value for value, _ in parts)
  np.testing.assert_allclose(total, 1, atol=1e-6)


def outside_is_minus_inf_and_nan_is_nan(family: Family):
  log_prob, params = jax.jit(family.dist.log_prob), params_of(family)
  full = batch_shape(family) + family.event_shape
  for x in (*family.outside, np.nan):
    nats = log_prob(params, np.full(full, x, np.float32))
    np.testing.assert_array_equal(nats, np.nan if np.isnan(x) else -np.inf)


def samples_agree_with_density(family: Family, num: int = 100_000):
  """Kolmogorov-Smirnov or chi-square, over `num` numbers in all.

  Entries are independent here, so the probability transforms of all of them
  are one sample of U(0, 1). p < 1e-4 for one right sampler in ten thousand.
  """
  full = batch_shape(family) + family.event_shape
  each = -(-num // int(np.prod(full)))
  x = compiled(family.dist).sample(
      jax.random.key(1), params_of(family), (each,))
  chex.assert_shape(x, (each, *full))
  frozen = family.scipy(*family.params)
  if family.discrete:
    members = np.broadcast_arrays(*family.params)
    for index in np.ndindex(full):
      one = family.scipy(*(p[index] for p in members))
      assert chi_square(np.asarray(x)[(slice(None), *index)], one) > 1e-4
    return
  u = frozen.cdf(np.asarray(x, np.float64))
  assert stats.kstest(u.ravel(), 'uniform').pvalue > 1e-4
  for member in u.reshape(each, -1).T[:6]:  # and each member on its own
    assert stats.kstest(member, 'uniform').pvalue > 1e-4
  if u[0].size > 1:  # entries of one draw do not share their noise
    corr = np.corrcoef(u.reshape(each, -1).T) - np.eye(u[0].size)
    assert np.abs(corr).max() < 5 / np.sqrt(each)


def chi_square(draws: np.ndarray, frozen) -> float:
  """p-value of integer draws [N], cells of less than 5 expected pooled."""
  low, high = frozen.ppf(5 / len(draws)), frozen.ppf(1 - 5 / len(draws))
  # Cells (-inf, low], (low, ...], ..., (high, inf), about 40 of them.
  edges = np.unique(np.round(np.linspace(low, high, min(40, int(
      high - low) + 1))))
  cdf = np.concatenate([[0], frozen.cdf(edges), [1]])
  cells = np.bincount(np.searchsorted(edges, draws), minlength=len(edges) + 1)
  expected = np.diff(cdf) * len(draws)
  assert cells[expected < 1e-9].sum() == 0
  few = expected < 5
  cells, expected = (np.append(n[~few], n[few].sum())
                     for n in (cells, expected))
  if expected[-1] < 5:  # even together
    cells, expected = cells[:-1], expected[:-1]
  if len(cells) == 1:
    return 1.0
  return stats.chisquare(cells, expected, sum_check=False).pvalue


def jit_equals_eager(family: Family):
  """To 16 units in the last place: a compiler may fuse and reorder."""
  params = params_of(family)
  x = jnp.asarray(points_of(family, [0.1, 0.6]), jnp.float32)
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
  arrays = [np.broadcast_to(np.float32(p), full) for p in family.params]
  x = points_of(family, [0.6], np.float32)[0]
  keys = jax.random.split(jax.random.key(0), full[0])

  def draw_and_judge(key, x, *arrays):
    params = family.make(*arrays)
    return family.dist.sample(key, params), family.dist.log_prob(params, x)

  got = jax.jit(jax.vmap(draw_and_judge))(keys, x, *arrays)
  each = jax.jit(draw_and_judge)
  rows = [each(*row) for row in zip(keys, x, *arrays)]
  want = tuple(np.stack(column) for column in zip(*rows))
  chex.assert_trees_all_close(got, want, rtol=2e-6, atol=2e-6)


def dtype_is_kept(family: Family):
  """Of params, in draws (whole numbers are int32) and log-densities."""

  def draw_and_judge(params):
    x = family.dist.sample(jax.random.key(0), params, (2,))
    return x, family.dist.log_prob(params, x)

  for dtype in (jnp.float32, jnp.bfloat16, jnp.float64):
    with jax.enable_x64(dtype == jnp.float64):
      x, nats = jax.eval_shape(draw_and_judge, params_of(family, dtype))
    chex.assert_type(nats, dtype)
    chex.assert_type(x, jnp.int32 if family.discrete else dtype)


def values_of_any_dtype_are_scored(family: Family):
  """Also whole numbers; the result has the dtype that jax's rules give."""
  params = params_of(family, jnp.float32)
  full = batch_shape(family) + family.event_shape
  for dtype in ('bfloat16', 'float16', 'float32', 'int32', 'int8', 'uint8',
                'uint32', 'bool'):
    x = jnp.zeros(full, dtype)
    nats = jax.eval_shape(family.dist.log_prob, params, x)
    chex.assert_type(nats, jnp.float32)
    if family.dist.cdf is not None:
      chex.assert_type(jax.eval_shape(family.dist.cdf, params, x), jnp.float32)


def nothing_is_drawn_and_scored_as_anything_else(family: Family):
  """Of no draws, and of an empty batch: no error, and empty results."""
  empty = [jnp.zeros((0, *family.event_shape)) for _ in family.params]
  for params, shape in ((params_of(family, jnp.float32), (0,)),
                        (family.make(*empty), (2,))):
    x = jax.eval_shape(functools.partial(family.dist.sample, shape=shape),
                       jax.random.key(0), params)
    assert x.size == 0 and x.shape[0] == shape[0]
    assert jax.eval_shape(family.dist.log_prob, params, x).size == 0


def event_ndims_is_the_rank_of_the_event(family: Family):
  assert family.dist.event_ndims == len(family.event_shape)
  assert family.dist.density == 'exact'


def sample_of_bfloat16_is_rounded(family: Family):
  """The draws of the same params and key in float32, to a rounding.

  jax.random draws other noise for 16 bits, whose law is another one.
  """
  params = params_of(family, jnp.bfloat16)
  wide = jax.tree.map(lambda p: np.asarray(p, np.float32), params)
  draw = jax.jit(functools.partial(family.dist.sample, shape=(100,)))
  got = np.asarray(draw(jax.random.key(0), params))
  want = draw(jax.random.key(0), wide)
  np.testing.assert_allclose(got.astype(np.float32), want, rtol=2.0**-8)


def bad_params_give_nan(family: Family):
  """In the sample and in the log-density, for that member of a batch only.

  A draw that is a whole number is -1: no integer is NaN.
  """
  good = [np.ravel(p)[0] for p in family.params]
  event = family.event_shape
  sample, log_prob = jax.jit(family.dist.sample), jax.jit(family.dist.log_prob)
  for bad in family.bad:
    both = [np.broadcast_to(np.reshape(pair, (2,) + (1,) * len(event)),
                            (2, *event)).astype(np.float32)
            for pair in zip(good, bad)]
    params = family.make(*map(jnp.asarray, both))
    for x in (1.0, *family.outside):
      nats = log_prob(params, np.full((2, *event), x, np.float32))
      np.testing.assert_array_equal(np.isnan(nats), [False, True], str(bad))
    x = np.asarray(sample(jax.random.key(0), params))
    wrong = x == -1 if family.discrete else np.isnan(x)
    np.testing.assert_array_equal(
        wrong.reshape(2, -1).any(1), [False, True], str(bad))


@float64
def gradients_match_differences(family: Family):
  """In x and every param; central differences err by the step squared."""
  x = jnp.asarray(points_of(family, [0.3, 0.6]))
  jax.test_util.check_grads(jax.jit(family.dist.log_prob),
                            (params_of(family), x), order=1, modes=['rev'],
                            eps=1e-5)


def gradients_are_finite_in_the_tails(family: Family, scales: float = 100.0):
  """At `scales` standard deviations from the mean, in x and every param."""
  frozen = family.scipy(*family.params)
  params = params_of(family, jnp.float32)
  full = batch_shape(family) + family.event_shape
  spread = np.where(np.isfinite(frozen.std()), frozen.std(), 1.0)

  def total(params, x):
    nats = family.dist.log_prob(params, x)
    inside = jnp.isfinite(nats)
    return jnp.sum(jnp.where(inside, nats, 0.0)), inside

  slopes = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
  for sign in (-1, 0, 1):
    x = frozen.median() + sign * scales * spread
    x = np.broadcast_to(np.round(x) if family.discrete else x, full)
    grads, inside = slopes(params, x.astype(np.float32))
    chex.assert_tree_all_finite(grads)
    if sign and not family.discrete and np.all(inside):
      assert np.min(np.abs(grads[1])) > 0


# What every family keeps, and what those of scalars keep besides.
LAWS = (
    log_prob_matches_scipy, log_prob_matches_scipy_in_float32,
    outside_is_minus_inf_and_nan_is_nan, samples_agree_with_density,
    jit_equals_eager, vmap_over_params_equals_loop, dtype_is_kept,
    bad_params_give_nan, gradients_are_finite_in_the_tails,
    event_ndims_is_the_rank_of_the_event, values_of_any_dtype_are_scored,
    nothing_is_drawn_and_scored_as_anything_else)
OF_SCALARS = (closed_forms_match_scipy, moments_match_scipy_in_float32,
              probabilities_sum_to_one, sample_of_bfloat16_is_rounded)


def over(families: dict[str, Family], laws=LAWS):
  """Makes of a test of (law, family) one for each of both."""
  return pytest.mark.parametrize('law, family', [
      pytest.param(law, family, id=f'{law.__name__}-{name}')
      for law in laws for name, family in families.items()])
