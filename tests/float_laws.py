"""Laws of distributions at the ends of the floats: units, digits, draws."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

# Powers of 2, so that units are exact: 1, and to 1e-24 and 1e24, of which the
# squares are no float32.
UNITS = np.float32(2.0) ** np.float32([0, -80, -66, 63, 80])


def equivariant(dist, params, units, x, shift=4.0):
  """log p of x and params in another unit, or moved, is that less log unit.

  And its slopes in x and in every param, times these, are the same.

  Args:
    dist: a distribution of numbers with a unit.
    params: of unit 1.
    units: of every leaf of params, 1 for that of x, -1 for its inverse, or 0.
    x: a point, [*batch, *event].
    shift: what may be added to x and to a first param called loc.
  """
  leaves, tree = jax.tree.flatten(params)
  size = np.size(x) if dist.event_ndims else 1

  def log_prob(x, *leaves):
    return dist.log_prob(tree.unflatten(leaves), x)

  @jax.jit
  @jax.vmap
  def judge(unit):
    args = [x * unit] + [v * unit**k for v, k in zip(leaves, units)]
    nats, pull = jax.vjp(log_prob, *args)
    slopes = pull(jnp.ones_like(nats))
    return (nats + size * jnp.log(unit),
            [s * jnp.where(a == 0, 0, a) for s, a in zip(slopes, args)])

  got = judge(UNITS)
  for leaf in jax.tree.leaves(got):
    # log(unit) is 55, of which float32 keeps 2e-6 for each entry.
    np.testing.assert_allclose(leaf, np.broadcast_to(leaf[:1], leaf.shape),
                               rtol=2e-5, atol=2e-5)
  if 'loc' in getattr(params, '_fields', ()):
    moved = params._replace(loc=params.loc + shift)
    np.testing.assert_allclose(jax.jit(dist.log_prob)(moved, x + shift),
                               got[0][0], rtol=1e-6, atol=1e-6)


def last_digits_are_uniform(dist, params, num: int):
  """Of whole numbers mod 2 and mod 10, chi-square, for each of a batch.

  And mean and variance, to five of their standard errors.
  """
  x = np.asarray(jax.jit(lambda key: dist.sample(key, params, (num,)))(
      jax.random.key(2)), np.int64)
  mean = np.float64(params[0])
  variance = mean
  if len(params) == 2:
    share = 1 / (1 + np.exp(-np.float64(params[1])))
    mean, variance = mean * share, mean * share * (1 - share)
  for column in x.T:
    for base in (2, 10):
      counts = np.bincount(column % base, minlength=base)
      assert stats.chisquare(counts).pvalue > 1e-4, (column[:3], base)
  z = (x - mean) / np.sqrt(variance)
  assert np.abs(z.mean(0)).max() < 5 / num**0.5
  assert np.abs(z.var(0) - 1).max() < 5 * (2 / num)**0.5


def draws_have_a_finite_density(dist, params, num: int = 2000):
  """Under their own law: none is rounded to where it is 0 or infinite."""
  # In programs of their own: one could score what it has not yet rounded.
  x = jax.jit(lambda key: dist.sample(key, params, (num,)))(jax.random.key(3))
  nats = np.asarray(jax.jit(dist.log_prob)(params, x), np.float32)
  assert np.isfinite(nats).all(), np.asarray(x)[~np.isfinite(nats)][:5]
