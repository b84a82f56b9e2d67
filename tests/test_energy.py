"""log Z against closed forms; what the losses of an energy are least at."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import energy
from genjax import mcmc
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.types import Context
from tests import laws

_KEY = jax.random.key(5)
_HMC = functools.partial(mcmc.hmc, step_size=0.4, num_leapfrog=3)
_MALA = functools.partial(mcmc.mala, step_size=0.7)
_WIDE = independent(normal, 1)
_COV = np.array([[1.0, 0.9], [0.9, 2.0]])
_MEANS = np.array([[-2.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def _quadratic(precision, x):
  """Of params (a, b, c) = precision matrix [[a, b], [b, c]]; x [B, 2]."""
  a, b, c = precision
  return 0.5 * (a * x[:, 0]**2 + c * x[:, 1]**2) + b * x[:, 0] * x[:, 1]


def _upper(precision):
  return jnp.asarray(precision[np.triu_indices(2)])


def _mixture(level, x):
  """Two normals of scale .7 in three dimensions, weighing 1/4 and 3/4."""
  log_prob = normal.log_prob(
      NormalParams(jnp.asarray(_MEANS, x.dtype), 0.7), x[:, None]).sum(-1)
  return level - jax.nn.logsumexp(
      log_prob + jnp.log(jnp.array([0.25, 0.75], x.dtype)), axis=1)


def _within_four_errors(values, errors, truth):
  z = (np.asarray(values) - truth) / np.asarray(errors)
  assert np.max(np.abs(z)) < 4, z


@pytest.mark.parametrize('f, low, high, num_points, log_z', [
    (lambda _, x: -2 * jnp.cos(x[:, 0]), [-np.pi], [np.pi], 40,
     2.661870607892),  # von Mises: log(2 pi I_0(2))
    (lambda _, x: (x[:, 0]**2 - 1)**2, [-3.5], [3.5], 80, 0.679926242894),
    (lambda _, x: jnp.zeros(len(x)), [-1, 2], [3, 2.5], 2, np.log(4 * 0.5)),
    (lambda _, x: _quadratic(_upper(np.linalg.inv(_COV)), x), [-8, -11],
     [8, 11], 80, 0.5 * np.log(np.linalg.det(2 * np.pi * _COV))),
])
@laws.float64
def test_log_partition_quadrature_matches_closed_forms(
    f, low, high, num_points, log_z):
  """The published ones are given to 12 digits."""
  value, _ = jax.jit(lambda low, high: energy.log_partition_quadrature(
      f, (), low, high, num_points=num_points))(
          jnp.asarray(low, float), jnp.asarray(high, float))
  np.testing.assert_allclose(value, log_z, atol=1e-10)


@laws.float64
def test_log_partition_quadrature_knows_its_error():
  """Where the rule is too coarse; its own error is within the one it says."""
  for num_points in (6, 16):
    value, error = jax.jit(functools.partial(
        energy.log_partition_quadrature,
        lambda _, x: (x[:, 0]**2 - 1)**2, (), num_points=num_points))(
            jnp.array([-3.5]), jnp.array([3.5]))
    assert 1e-4 < abs(value - 0.679926242894) < error


@pytest.mark.parametrize('estimate, num_samples', [
    (energy.log_partition_importance, 1000),
    (functools.partial(energy.log_partition_annealed, make_kernel=_HMC,
                       betas=np.linspace(0, 1, 13)), 100),
])
@pytest.mark.parametrize('f, params, log_z', [
    (_quadratic, np.linalg.inv(_COV)[np.triu_indices(2)],
     0.5 * np.log(np.linalg.det(2 * np.pi * _COV))),
    (_mixture, -1.7, 1.7),
])
def test_log_partition_is_within_its_standard_errors(
    estimate, num_samples, f, params, log_z):
  """In 200 runs, whose spread is the reported one to 4 / sqrt(2 200)."""
  base = NormalParams(jnp.zeros(2 if f is _quadratic else 3), 2.0)
  run = jax.jit(jax.vmap(lambda key: estimate(
      key, f, _WIDE, jnp.asarray(params, jnp.float32), base,
      num_samples=num_samples)))
  value, error = run(jax.random.split(_KEY, 200))
  z = (np.asarray(value) - log_z) / np.asarray(error)
  assert np.max(np.abs(z)) < 5  # of 200; the first alone is within 4
  assert abs(z[0]) < 4
  assert abs(np.std(z) - 1) < 0.2
  assert np.mean(error) < 0.15


def test_log_partition_annealed_at_once_is_importance_sampling():
  params = _upper(np.linalg.inv(_COV)), NormalParams(jnp.zeros(2), 2.0)

  @jax.jit
  def both(key):
    annealed = energy.log_partition_annealed(
        key, _quadratic, _WIDE, *params, make_kernel=_HMC,
        betas=jnp.array([0.0, 1.0]), num_samples=10)
    key_base, _ = jax.random.split(key)
    return annealed, energy.log_partition_importance(
        key_base, _quadratic, _WIDE, *params, num_samples=10)

  annealed, at_once = both(_KEY)
  np.testing.assert_allclose(annealed, at_once, rtol=1e-6)


def test_log_partition_annealed_moves_particles_to_the_model():
  """Far from the base, where importance sampling draws nothing."""
  base = NormalParams(jnp.zeros(2), 0.5)
  value, error = jax.jit(lambda key: energy.log_partition_annealed(
      key, lambda mean, x: 0.5 * jnp.sum((x - mean)**2, -1), _WIDE,
      jnp.array([4.0, -3.0]), base, make_kernel=_HMC,
      betas=jnp.linspace(0, 1, 101)**2, num_samples=200))(_KEY)
  assert error < 0.3
  _within_four_errors(value, error, np.log(2 * np.pi))


@pytest.mark.parametrize('betas', [
    [0., .5, .5, 1.], [0., 0., .5, 1.], [0., .5, 1., 1.]])
def test_log_partition_of_a_box_with_betas_repeated(betas):
  """Where energies are infinite and the change of beta is 0: log of 2."""
  run = jax.jit(lambda key, betas: energy.log_partition_annealed(
      key, lambda half, x: jnp.where(jnp.abs(x[:, 0]) < half, 0.0, jnp.inf),
      _WIDE, 1.0, NormalParams(jnp.zeros(1), jnp.ones(1)), make_kernel=_HMC,
      betas=betas, num_samples=1000))
  value, error = run(_KEY, jnp.asarray(betas))
  _within_four_errors(value, error, np.log(2))
  assert error < .05
  for bad in ([0., .5, .4, 1.], [.1, .5, .5, 1.], [0., .5, .5, .9]):
    assert np.isnan(run(_KEY, jnp.asarray(bad)).value)


@pytest.mark.parametrize('base, scale, event', [
    (normal, 3.0, ()), (_WIDE, np.full(2, 3.0), (2,))])
def test_as_distribution_samples_its_density(base, scale, event):
  """The energy of N(1, .5^2), scalar and of two independent entries."""

  def f(mean, x):
    return jnp.sum((2 * jnp.square(x - mean)).reshape(len(x), -1), axis=1)

  dist = energy.as_distribution(
      f, base, NormalParams(0.0, jnp.asarray(scale)), make_kernel=_HMC,
      num_steps=25)
  size = max(sum(event), 1)
  params = energy.EnergyParams(
      jnp.asarray(1.0), size * 0.5 * np.log(2 * np.pi * 0.25))
  sample = jax.jit(functools.partial(dist.sample, shape=(2, 1000)))
  x = sample(_KEY, params)
  assert isinstance(dist, Distribution) and dist.density == 'estimate'
  assert x.shape == (2, 1000, *event) and dist.event_ndims == len(event)
  assert stats.kstest(np.ravel(x), stats.norm(1, 0.5).cdf).pvalue > 1e-3
  want = stats.norm.logpdf(x, 1, 0.5).reshape(2, 1000, -1).sum(-1)
  np.testing.assert_allclose(dist.log_prob(params, x), want, rtol=2e-5,
                             atol=2e-5)
  bad = params._replace(energy=jnp.asarray(jnp.nan))
  assert np.all(np.isnan(sample(_KEY, bad)))
  assert np.isnan(dist.log_prob(bad, jnp.zeros(event)))


def _batch(x, **more):
  return {'x': jnp.asarray(x), 'index': jnp.arange(len(x)), **more}


def _gaussian_batch(num):
  x = np.random.default_rng(0).multivariate_normal(np.zeros(2), _COV, num)
  return _batch(x)


def _per_example(loss_fn):
  """(params, batch) -> the gradient of every example's own loss, [B, P]."""

  def one(params, x, index):
    batch = {'x': x[None], 'index': index[None]}
    return jax.grad(lambda p: loss_fn(p, _KEY, batch, Context())[0])(params)

  every = jax.jit(jax.vmap(one, (None, 0, 0)))
  return lambda params, batch: np.asarray(
      every(params, batch['x'], batch['index']))


def _minimiser(loss_fn, batch):
  """Of a loss quadratic in (a, b, c), and the sandwich standard error."""
  start = jnp.array([1.0, 0.0, 1.0])
  hessian = np.asarray(jax.jit(jax.hessian(
      lambda p: loss_fn(p, _KEY, batch, Context())[0]))(start))
  assert np.all(np.linalg.eigvalsh(hessian) > 0)
  gradients_at = _per_example(loss_fn)
  least = start - np.linalg.solve(
      hessian, gradients_at(start, batch).mean(0))
  gradients = gradients_at(least, batch)
  cov = np.linalg.inv(hessian) @ np.cov(gradients.T) @ np.linalg.inv(hessian)
  return least, np.sqrt(np.diag(cov) / len(gradients))


@laws.float64
def test_sliced_score_matching_is_least_at_the_precision():
  least, error = _minimiser(energy.make_sliced_score_matching(_quadratic),
                            _gaussian_batch(10000))
  _within_four_errors(least, error, _upper(np.linalg.inv(_COV)))
  assert np.max(error) < 0.05


@laws.float64
def test_denoising_score_matching_is_least_at_the_precision_with_noise():
  least, error = _minimiser(
      energy.make_denoising_score_matching(_quadratic, scale=0.8),
      _gaussian_batch(10000))
  _within_four_errors(
      least, error, _upper(np.linalg.inv(_COV + 0.8**2 * np.eye(2))))
  assert np.max(error) < 0.05


@laws.float64
def test_sliced_score_matching_of_a_diagonal_is_free_of_its_noise():
  """v_i^2 = 1, so the loss is sum(l^2 m / 2 - l), least at l = 1 / m."""
  x = np.random.default_rng(1).normal(size=(7, 3, 2))
  loss_fn = energy.make_sliced_score_matching(
      lambda p, x: 0.5 * jnp.sum(p * x**2, axis=(1, 2)))
  precision = jnp.asarray([[0.5, 1.0], [2.0, 3.0], [0.1, 1.0]])
  moments = np.mean(x**2, axis=0)
  loss, _ = jax.jit(loss_fn)(precision, _KEY, _batch(x), Context())
  np.testing.assert_allclose(
      loss, np.sum(precision**2 * moments / 2 - precision), rtol=1e-12)


@laws.float64
def test_contrastive_divergence_gradient_is_zero_at_the_truth():
  """In expectation, with an exact kernel; away from it, it points there."""
  truth = _upper(np.linalg.inv(_COV))
  loss_fn = energy.make_contrastive_divergence(
      _quadratic, make_kernel=_MALA, num_steps=2)
  batch, gradients_at = _gaussian_batch(20000), _per_example(loss_fn)
  gradients = gradients_at(truth, batch)
  errors = gradients.std(0) / np.sqrt(len(gradients))
  _within_four_errors(gradients.mean(0), errors, 0)
  for factor in (0.7, 1.4):
    slope = gradients_at(factor * truth, batch) @ np.asarray(truth)
    assert (np.sign(factor - 1) * np.mean(slope)
            > 4 * np.std(slope) / np.sqrt(len(slope)))


@pytest.mark.parametrize('loss_fn', [
    energy.make_contrastive_divergence(_quadratic, make_kernel=_MALA,
                                       num_steps=3),
    energy.make_denoising_score_matching(_quadratic, scale=0.5),
    energy.make_sliced_score_matching(_quadratic),
], ids=['cd', 'dsm', 'ssm'])
def test_losses_draw_by_index_and_leave_masked_examples_out(loss_fn):
  x = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
  loss = jax.jit(lambda batch: loss_fn(
      jnp.array([1., .3, 2.]), _KEY, batch, Context()))
  whole, metrics = loss(_batch(x))
  halves = [loss({'x': jnp.asarray(x[i]), 'index': i})
            for i in (jnp.arange(3), jnp.arange(3, 6))]
  np.testing.assert_allclose(whole, np.mean([h[0] for h in halves]), rtol=1e-5)
  masked = loss(_batch(x, mask=jnp.array([0., 0, 0, 1, 1, 1])))
  np.testing.assert_allclose(masked[0], halves[1][0], rtol=1e-5)
  for name in metrics:
    np.testing.assert_allclose(masked[1][name], halves[1][1][name], rtol=1e-5)
  narrow = jnp.asarray(x, jnp.bfloat16)  # taken as float32
  got = loss({'x': narrow, 'index': jnp.arange(6)})[0]
  assert got == loss(_batch(narrow.astype(jnp.float32)))[0]
  same = np.ones((6, 2), np.float32)  # under other noise
  first = loss(_batch(same, mask=jnp.zeros(6).at[0].set(1)))
  assert first[0] != loss(_batch(same))[0]


@pytest.mark.parametrize('f, match', [
    (lambda: energy.log_partition_quadrature(
        _quadratic, (1., 0., 1.), [0.0] * 3, [1.0] * 3, num_points=9),
     'low and high must be both'),
    (lambda: energy.log_partition_quadrature(
        _quadratic, (1., 0., 1.), [0.0], [1.0], num_points=1), 'num_points'),
    (lambda: energy.log_partition_importance(
        _KEY, _quadratic, _WIDE, (1., 0., 1.),
        NormalParams(jnp.zeros(2), 1.0), num_samples=1), 'num_samples'),
    (lambda: energy.log_partition_importance(
        _KEY, _quadratic, normal, (1., 0., 1.),
        NormalParams(jnp.zeros(2), 1.0), num_samples=5),
     r'must have one shape, got \(5,\), \(5, 2\)'),
    (lambda: energy.log_partition_importance(
        _KEY, lambda _, x: x**2, normal, (), NormalParams(jnp.zeros(2), 1.0),
        num_samples=5), r'weights must be \[5\], got shape \(5, 2\)'),
    (lambda: energy.log_partition_annealed(
        _KEY, _quadratic, _WIDE, (1., 0., 1.), NormalParams(jnp.zeros(2), 1.0),
        make_kernel=_HMC, betas=jnp.zeros(1), num_samples=5), 'betas'),
    (lambda: energy.log_partition_annealed(
        _KEY, _quadratic, _WIDE, (), (), make_kernel=_HMC,
        betas=jnp.array([0., .6, .5, 1.]), num_samples=5),
     r'betas must rise from 0 to 1, got 0 to 1 in steps from -0.1'),
    (lambda: energy.make_denoising_score_matching(_quadratic, scale=0),
     'scale must be positive'),
    (lambda: energy.make_contrastive_divergence(
        _quadratic, make_kernel=_MALA, num_steps=0), 'num_steps'),
])
def test_energy_refuses_what_it_cannot_do(f, match):
  with pytest.raises(ValueError, match=match):
    f()
