"""Histograms and kernel estimates against numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.distributions.nonparametric import fit_histogram
from genjax.distributions.nonparametric import fit_kernel_density
from genjax.distributions.nonparametric import histogram
from genjax.distributions.nonparametric import HistogramParams
from genjax.distributions.nonparametric import kernel_density
from genjax.distributions.nonparametric import KernelDensityParams
from tests import laws

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(500, 2)) * [1, 0.3]
_LOW, _HIGH = np.array([-2., -1.]), np.array([3., 0.5])
# Each as one program: these tests take the time of compiling.
HISTOGRAM, KERNELS = map(laws.compiled, (histogram, kernel_density))
FIT_HISTOGRAM = jax.jit(fit_histogram, static_argnums=3,
                        static_argnames='pseudo_count')
FIT_KERNELS = jax.jit(fit_kernel_density, static_argnums=1)


def _fit(x=_X, bins=(8, 6), **options):
  return FIT_HISTOGRAM(x, _LOW, _HIGH, bins, **options)


@laws.float64
def test_fit_histogram_is_that_of_numpy():
  want, edges = np.histogramdd(_X, (8, 6), list(zip(_LOW, _HIGH)), density=True)
  centres = np.stack(np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in edges],
                                 indexing='ij'), -1)
  nats = HISTOGRAM.log_prob(_fit(), jnp.asarray(centres))
  np.testing.assert_allclose(np.exp(nats), want, rtol=1e-12)
  assert np.any(want == 0)  # where the log-density is -inf
  volume = np.prod((_HIGH - _LOW) / (8, 6))
  np.testing.assert_allclose(np.exp(nats).sum() * volume, 1, rtol=1e-12)
  mass = want[want > 0] * volume
  np.testing.assert_allclose(
      HISTOGRAM.entropy(_fit()), stats.entropy(mass) + np.log(volume),
      rtol=1e-12)


@laws.float64
def test_fit_histogram_adds_its_pseudo_count_to_every_cell():
  """(count + a) / (N + a M): none of the points counts outside of the box."""
  inside = np.all((_X >= _LOW) & (_X <= _HIGH), 1)
  assert not inside.all()
  counts, _ = np.histogramdd(_X, (8, 6), list(zip(_LOW, _HIGH)))
  want = (counts + 0.5) / (inside.sum() + 0.5 * 48)
  got = jax.nn.softmax(_fit(pseudo_count=0.5).logits.ravel())
  np.testing.assert_allclose(got, want.ravel(), rtol=1e-12)


def test_histogram_is_nothing_outside_of_its_closed_box():
  params = HistogramParams(jnp.zeros(1), jnp.ones(1), jnp.log(
      jnp.array([1., 2., 3., 4.])))
  x = jnp.array([-1e-6, 0, 0.2, 0.25, 1, 1.0001, jnp.nan, jnp.inf])[:, None]
  density = np.exp(HISTOGRAM.log_prob(params, x))
  np.testing.assert_allclose(density, [0, .4, .4, .8, 1.6, 0, np.nan, 0],
                             rtol=1e-6)


def test_histogram_draws_from_its_density():
  """Cells by chi-square, places within them by Kolmogorov-Smirnov."""
  params = _fit()
  x = np.asarray(HISTOGRAM.sample(jax.random.key(0), params, (200, 100)))
  assert x.shape == (200, 100, 2) and x.dtype == np.float32
  x = x.reshape(-1, 2)
  seen, _ = np.histogramdd(x, (8, 6), list(zip(_LOW, _HIGH)))
  mass = np.asarray(jax.nn.softmax(params.logits.ravel()), np.float64)
  taken = mass > 0
  assert seen.ravel()[~taken].sum() == 0
  assert stats.chisquare(
      seen.ravel()[taken], mass[taken] / mass.sum() * 20000).pvalue > 1e-3
  place = (x - _LOW) / ((_HIGH - _LOW) / (8, 6)) % 1
  for axis in place.T:
    assert stats.kstest(axis, 'uniform').pvalue > 1e-3


_EVERY_OTHER = jnp.where(jnp.arange(1000) % 2 == 0, 0.0, -jnp.inf)
_DRAW = jax.jit(lambda p: histogram.sample(jax.random.key(0), p, (100_000,)))
_BOTH = jax.jit(lambda p: histogram.log_prob(
    p, histogram.sample(jax.random.key(0), p, (100_000,))))


@pytest.mark.parametrize('low, high', [
    (0, 1), (100, 101), (-1, 1), (1e6, 1e6 + 1000), (-3, 1e3), (0, 1e-30)])
def test_histogram_never_draws_where_its_density_is_0(low, high):
  """Between empty cells, whatever programs draw and score: 3 % of draws are
  rounded to an edge where a cell holds 16 floats, as from 1e6 on."""
  params = HistogramParams(jnp.array([low], jnp.float32),
                           jnp.array([high], jnp.float32), _EVERY_OTHER)
  x = _DRAW(params)
  want = np.log(1000 / 500 / (high - low))
  for nats in (HISTOGRAM.log_prob(params, x), _BOTH(params)):
    np.testing.assert_allclose(nats, want, rtol=1e-5)
  fit = FIT_HISTOGRAM(x, params.low, params.high, (1000,))
  assert not np.isfinite(fit.logits[1::2]).any()
  assert np.isfinite(fit.logits[::2]).all()


def test_histogram_of_cells_thinner_than_its_floats_is_nan():
  """Of float32 at 1e6, .06 apart; of bfloat16 below 1, .004 apart, in which
  they cannot be drawn."""
  params = HistogramParams(jnp.array([1e6]), jnp.array([1e6 + 100]),
                           _EVERY_OTHER)
  assert np.isnan(_DRAW(params)).all()
  inside = jnp.linspace(1e6, 1e6 + 100, 100_000)[:, None]
  assert np.isnan(HISTOGRAM.log_prob(params, inside)).all()
  coarse = HistogramParams(*(jnp.asarray(p, jnp.bfloat16) for p in (
      [0], [1], _EVERY_OTHER)))
  x = _DRAW(coarse)
  assert x.dtype == jnp.bfloat16 and np.isnan(x).all()
  coarse = coarse._replace(logits=coarse.logits[:16])
  assert np.isfinite(_BOTH(coarse)).all()


_DTYPES = ['uint8', 'int32', 'float16', 'bfloat16', 'float32']


@pytest.mark.parametrize('dtype', _DTYPES)
def test_fit_histogram_counts_in_any_dtype(dtype):
  """Of 4001 points, more than 16 bits can count, 1000 are in the second cell.
  """
  x = jnp.asarray(np.arange(4001) >= 3001, dtype)[:, None]
  low, high = (jnp.asarray([edge], jnp.result_type(x, 0.0))
               for edge in (-0.5, 1.5))
  fit = FIT_HISTOGRAM(x, low, high, (2,))
  assert fit.logits.dtype == jnp.float32
  np.testing.assert_allclose(jnp.exp(fit.logits), [3001, 1000], rtol=1e-5)


def test_fit_histogram_of_nan_is_nan():
  fit = FIT_HISTOGRAM(jnp.array([[0.5], [jnp.nan]]), 0.0, 1.0, (2,))
  assert np.isnan(fit.logits).all()


@pytest.mark.slow
def test_fit_histogram_counts_beyond_what_float32_can():
  x = jnp.zeros((2**24 + 2**20, 1), jnp.uint8)
  fit = FIT_HISTOGRAM(x, -1.0, 1.0, (2,), pseudo_count=1.0)
  np.testing.assert_allclose(fit.logits[1], np.log(2**24 + 2**20 + 1),
                             rtol=1e-6)


@pytest.mark.parametrize('dtype', _DTYPES)
def test_fit_kernel_density_is_that_of_the_numbers_whatever_their_type(dtype):
  x = np.array([[0, 3], [1, 9], [5, 4]])
  want = FIT_KERNELS(jnp.asarray(x, jnp.float32), (0.3, 0.7))
  got = FIT_KERNELS(jnp.asarray(x, dtype), (0.3, 0.7))
  np.testing.assert_array_equal(got.scale, want.scale)
  np.testing.assert_array_equal(got.points, want.points)


@pytest.mark.parametrize('unit', [2.0**-66, 2.0**63])
def test_kernel_density_is_equivariant_to_the_unit(unit):
  """With an axis where all agree on 0, and one where they do on 3."""
  x = np.concatenate([_X[:50], np.tile([0, 3], (50, 1))], 1)
  x = jnp.asarray(x, jnp.float32)
  want, got = (FIT_KERNELS(y, (0.3, 1.0)) for y in (x, unit * x))
  np.testing.assert_array_equal(got.scale, unit * want.scale)
  assert np.all(want.scale > 0)
  nats = KERNELS.log_prob(want, x[:2] + 0.1)
  np.testing.assert_allclose(KERNELS.log_prob(got, unit * (x[:2] + 0.1)),
                             nats - 4 * np.log(unit), rtol=1e-5)


def test_fit_kernel_density_has_a_scale_where_all_points_agree():
  for x in ([[0., 1.], [1., 1.]], [[0., 1.], [0., 1.]], [[0., 0.]] * 3):
    params = FIT_KERNELS(jnp.array(x))
    assert np.all(params.scale > 0)
    assert np.isfinite(KERNELS.log_prob(params, jnp.array(x))).all()


@pytest.mark.parametrize('params', [
    HistogramParams(jnp.zeros(1), jnp.zeros(1), jnp.zeros(2)),
    HistogramParams(jnp.zeros(1), jnp.array([jnp.nan]), jnp.zeros(2)),
    HistogramParams(jnp.zeros(1), jnp.ones(1), jnp.array([0, jnp.nan])),
    HistogramParams(jnp.zeros(1), jnp.ones(1), jnp.full(2, -jnp.inf))])
def test_histogram_of_a_bad_box_or_bad_masses_is_nan(params):
  x = HISTOGRAM.sample(jax.random.key(0), params, (3,))
  nats = HISTOGRAM.log_prob(params, jnp.array([[0.5], [2.0]]))
  assert np.isnan(x).all() and np.isnan(nats).all()


@pytest.mark.parametrize('call, message', [
    (lambda: _fit(bins=(5,)), 'fit_histogram: bins must have an entry'),
    (lambda: _fit(pseudo_count=-1), 'fit_histogram: pseudo_count must not'),
    (lambda: _fit(x=_X[:, 0]), 'fit_histogram: x must have 2 axes'),
    (lambda: histogram.log_prob(_fit(), jnp.zeros(3)),
     r'histogram: x must be \[..., 2\]'),
    (lambda: kernel_density.log_prob(
        KernelDensityParams(jnp.zeros((4, 2)), jnp.ones(())), jnp.zeros(3)),
     r'kernel_density: x must be \[..., 2\]'),
    (lambda: fit_kernel_density(jnp.zeros((1, 2))),
     'fit_kernel_density: x must hold 2 points'),
    (lambda: fit_kernel_density(jnp.zeros((3, 2)), ()),
     'fit_kernel_density: factors must not be empty')])
def test_nonparametric_says_what_is_wrong(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def _by_hand(points, scale, x):
  """log of the mean of Gaussians around `points`, at x [M, D]: [M]."""
  nats = stats.norm(points, scale).logpdf(x[:, None]).sum(-1)
  return special.logsumexp(nats, axis=1) - np.log(len(points))


@laws.float64
def test_kernel_density_matches_scipy():
  """At more queries than a block holds, some of them far from all points."""
  x = np.concatenate([_X[:290] + 0.1, 100 * _X[:7]]).reshape(3, 99, 2)
  for scale in (0.2, np.array([0.3, 0.01])):
    params = KernelDensityParams(jnp.asarray(_X), jnp.asarray(scale))
    np.testing.assert_allclose(
        KERNELS.log_prob(params, jnp.asarray(x)),
        _by_hand(_X, scale, x.reshape(-1, 2)).reshape(3, 99), rtol=1e-10)


def test_kernel_density_keeps_its_digits_where_the_kernel_is_narrow():
  """Expanded squares would lose all of them: (3 / .001)^2 is 1e7."""
  points = np.float32([[3.0], [3.001]])
  got = KERNELS.log_prob(
      KernelDensityParams(jnp.asarray(points), jnp.float32(1e-3)),
      jnp.asarray(points[:1]))
  want = _by_hand(points.astype(float), np.float32(1e-3), points[:1])
  np.testing.assert_allclose(got, want, rtol=1e-5)


def test_kernel_density_of_many_points_needs_little_memory():
  x = jax.ShapeDtypeStruct((10_000, 2), jnp.float32)
  scale = jax.ShapeDtypeStruct((), jnp.float32)
  compiled = jax.jit(kernel_density.log_prob).lower(
      KernelDensityParams(x, scale), x).compile()
  assert compiled.memory_analysis().temp_size_in_bytes < 50e6


def test_kernel_density_draws_from_its_density():
  params = KernelDensityParams(jnp.asarray(_X, jnp.float32), jnp.float32(0.2))
  x = KERNELS.sample(jax.random.key(0), params, (100, 100))
  assert x.shape == (100, 100, 2) and x.dtype == jnp.float32
  x = np.asarray(x).reshape(-1, 2)
  for axis in range(2):
    result = stats.kstest(x[:, axis], lambda v, axis=axis: stats.norm(
        _X[:, axis], 0.2).cdf(v[:, None]).mean(1))
    assert result.pvalue > 1e-3
  np.testing.assert_allclose(KERNELS.mean(params), _X.mean(0),
                             rtol=1e-4)
  np.testing.assert_allclose(KERNELS.variance(params),
                             _X.var(0) + 0.04, rtol=1e-5)


@pytest.mark.parametrize('scale', [0.0, -1.0, jnp.nan])
def test_kernel_density_of_a_bad_bandwidth_is_nan(scale):
  params = KernelDensityParams(jnp.zeros((3, 2)), jnp.float32(scale))
  assert np.isnan(KERNELS.sample(jax.random.key(0), params)).all()
  assert np.isnan(KERNELS.log_prob(params, jnp.zeros(2)))


@laws.float64
def test_fit_kernel_density_alone_is_scotts_rule():
  params = FIT_KERNELS(jnp.asarray(_X))
  factor = stats.gaussian_kde(_X.T).scotts_factor()
  np.testing.assert_allclose(params.scale, _X.std(0) * factor, rtol=1e-12)


@laws.float64
def test_fit_kernel_density_takes_the_likeliest_bandwidth_left_one_out():
  """On two narrow heaps, for which Scott's rule is far too wide."""
  x = np.concatenate([_X[:100] * 0.05, _X[100:200] * 0.05 + [3, 1]])
  factors = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
  scott = x.std(0) * len(x)**(-1 / 6)
  scores = [np.mean([_by_hand(np.delete(x, i, 0), f * scott, x[i:i + 1])
                     for i in range(len(x))]) for f in factors]
  best = np.argmax(scores)
  assert 0 < best < len(factors) - 1
  params = FIT_KERNELS(x, tuple(factors))
  np.testing.assert_allclose(params.scale, scott * factors[best], rtol=1e-12)
