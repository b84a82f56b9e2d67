"""Laws of the noise processes, and their published numbers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import process
from genjax.diffusion import shift
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES

each_process = pytest.mark.parametrize('name', PROCESSES)


@each_process
@laws.float64
def test_log_snr_is_the_log_ratio_of_the_schedules(name):
  p = PROCESSES[name]
  t = tables.interior(p)
  ratio = 2 * np.log(at(p.alpha, t) / at(p.sigma, t))
  np.testing.assert_allclose(at(p.log_snr, t), ratio, rtol=1e-9, atol=1e-9)


@each_process
@laws.float64
def test_time_inverts_log_snr(name):
  p = PROCESSES[name]
  t = tables.interior(p)
  # Relative at both ends: near t = 0 what matters is t, near t_max what is left
  # of it, which one rounding of t leaves 2e-16 / 1e-6 of.
  back = at(p.time, at(p.log_snr, t))
  np.testing.assert_allclose(back, t, rtol=1e-9)
  np.testing.assert_allclose(p.t_max - back, p.t_max - t, rtol=1e-8,
                             atol=1e-14)


@each_process
def test_time_inverts_log_snr_in_float32(name):
  """Up to what rounding of t and of log_snr alone costs, four times over."""
  p = PROCESSES[name]
  with jax.enable_x64(True):
    ends = at(p.log_snr, np.array([p.t_min, p.t_max], np.float64))
    want = np.linspace(min(ends[0], 20), max(ends[1], -20), 81)[1:-1]
    t = at(p.time, want)
    slope = np.abs(at(jax.vmap(jax.grad(p.log_snr)), t))
  got = at(p.log_snr, at(p.time, want.astype(np.float32)))
  assert got.dtype == np.float32
  unit = np.finfo(np.float32).eps
  # Discrete chains interpolate between rounded knots 1/T apart, in which a
  # rounding of t is one of T t.
  allowed = 4 * unit * (np.abs(want) + np.abs(t) * slope + 1)
  if name.endswith('ddpm'):
    allowed = allowed + 2 * unit * slope
  np.testing.assert_array_less(np.abs(got - want), allowed)


@each_process
def test_log_snr_decreases_strictly(name):
  p = PROCESSES[name]
  values = at(p.log_snr, np.linspace(p.t_min, p.t_max, 2001, dtype=np.float32))
  assert np.all(np.diff(values) < 0)


@laws.float64
def test_schedules_keep_the_sum_of_their_kind():
  for name, p in PROCESSES.items():
    t = tables.interior(p)
    alpha, sigma = at(p.alpha, t), at(p.sigma, t)
    total = {'ve': alpha, 'edm': alpha, 'flow_matching': alpha + sigma,
             'shifted_flow': alpha + sigma, 'sub_vp': alpha**2 + sigma}.get(
                 name, alpha**2 + sigma**2)
    np.testing.assert_allclose(total, 1, rtol=1e-12, err_msg=name)


def _vp_linear(t):
  log_alpha = -(20 - np.longdouble(.1)) * t**2 / 4 - np.longdouble(.1) * t / 2
  return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


def _vp_cosine(t):
  half_pi, offset = 2 * np.arctan(np.longdouble(1)), np.longdouble(.008)
  alpha = (np.cos((t + offset) / (1 + offset) * half_pi)
           / np.cos(offset / (1 + offset) * half_pi))
  return alpha, np.sqrt(1 - alpha**2)


def _shifted_flow(t):  # of arXiv:2403.03206, eq. 23, by 3.004
  factor = np.exp(np.longdouble(1.1))
  return (1 - t) / (1 + (factor - 1) * t), factor * t / (1 + (factor - 1) * t)


REFERENCES = {
    'vp_linear': _vp_linear,
    'sub_vp': lambda t: (_vp_linear(t)[0], _vp_linear(t)[1]**2),
    'vp_cosine': _vp_cosine,
    've': lambda t: (np.ones_like(t), .01 * 5000**t),
    'edm': lambda t: (np.ones_like(t), t),
    'flow_matching': lambda t: (1 - t, t),
    'shifted_flow': _shifted_flow,
}


@pytest.mark.parametrize('name', REFERENCES)
def test_schedules_are_accurate_in_float32_near_both_ends(name):
  """To 16 roundings, against extended precision at the same float32 times."""
  p = PROCESSES[name]
  t = tables.interior(p).astype(np.float32)
  t = t[t < p.t_max]
  alpha, sigma = REFERENCES[name](t.astype(np.longdouble))
  log_snr = 2 * np.log(alpha / sigma)
  np.testing.assert_allclose(at(p.alpha, t), alpha, rtol=2e-6)
  np.testing.assert_allclose(at(p.sigma, t), sigma, rtol=2e-6)
  np.testing.assert_allclose(at(p.log_snr, t), log_snr, rtol=2e-6, atol=4e-6)


def test_log_snr_is_finite_as_long_as_alpha_is_not_zero():
  """Of alpha^2 = exp(-150.05), in float32: the noise is 1 to all digits."""
  p = process.vp_linear(.1, 300.)
  assert p.alpha(jnp.asarray(1.)) > 0
  np.testing.assert_allclose(p.log_snr(jnp.asarray(1.)), -150.05, rtol=1e-6)
  np.testing.assert_allclose(p.time(p.log_snr(jnp.asarray(1.))), 1, rtol=1e-6)


@laws.float64
def test_discretize_has_the_levels_of_its_betas():
  for betas in (process.linear_betas(), process.cosine_betas(50),
                np.array([.3])):
    p = process.discretize(betas)
    t = np.arange(len(betas) + 1) / len(betas)
    alpha_bar = np.concatenate([[1], np.cumprod(1 - betas)])
    np.testing.assert_allclose(at(p.alpha, t)**2, alpha_bar, rtol=1e-11)
    np.testing.assert_allclose(at(p.sigma, t)**2, 1 - alpha_bar, atol=1e-13)


@pytest.mark.parametrize('betas', [
    process.cosine_betas(50), np.array([.3]), np.array([.3, .1]),
    np.array([1e-4, .5, 1e-4, .9])])
@laws.float64
def test_discretize_is_smooth_between_its_levels(betas):
  """It falls strictly; slope and curvature are one from both sides of a level,
  and the slope at t = 1 is whole."""
  p, num = process.discretize(betas), len(betas)
  log_alpha = lambda t: jnp.log(p.alpha(t))
  fine = at(log_alpha, np.linspace(0, 1, 40 * num + 1))
  assert np.all(np.diff(fine) < 0)
  level, h = jnp.arange(1, num) / num, 1e-9
  slope, curvature = (jax.jit(jax.vmap(f)) for f in (
      jax.grad(log_alpha), jax.grad(jax.grad(log_alpha))))
  for f in (slope, curvature):
    left, right = f(level - h), f(level + h)
    scale = np.abs(left) + np.abs(slope(level)) * num
    np.testing.assert_allclose((left - right) / scale, 0, atol=1e-5)
  np.testing.assert_allclose(slope(jnp.ones(1)), slope(jnp.ones(1) - h),
                             rtol=1e-4)


@laws.float64
def test_discretize_has_the_published_levels_of_ddpm():
  """arXiv:2006.11239; index n of the chain is the time (n + 1) / 1000."""
  p = PROCESSES['ddpm']
  got = at(p.alpha, (np.array([0, 249, 499, 749, 999]) + 1) / 1000)**2
  np.testing.assert_allclose(
      got, [.9999, .5240853738, .07858724288, .003350550439, 4.035829765e-5],
      rtol=1e-9)


@laws.float64
def test_cosine_betas_have_the_published_values():
  """arXiv:2102.09672, eq. 17."""
  betas = process.cosine_betas()
  np.testing.assert_allclose(
      betas[[0, 499, 999]], [4.128422482e-5, .00314588623, .999], rtol=1e-8)
  got = at(PROCESSES['improved_ddpm'].alpha, .5)**2
  np.testing.assert_allclose(got, .4938435904, rtol=1e-9)
  # The continuous process has the same level there; its far end is not cut.
  np.testing.assert_allclose(at(PROCESSES['vp_cosine'].alpha, .5)**2,
                             .4938435904, rtol=1e-9)


@laws.float64
def test_vp_linear_has_the_published_coefficients():
  """arXiv:2011.13456, eq. 33."""
  p = PROCESSES['vp_linear']
  np.testing.assert_allclose(
      [at(p.alpha, .5), at(p.alpha, 1.), at(p.sigma, 1.)],
      [.2811828808, .006571586495, .9999784069], rtol=1e-9)


@laws.float64
def test_sub_vp_is_the_process_of_score_sde():
  """arXiv:2011.13456, eq. 29: standard deviation 1 - exp(-int beta)."""
  p, t = PROCESSES['sub_vp'], np.array([.01, .5, 1.])
  integral = .5 * (20 - .1) * t**2 + .1 * t
  np.testing.assert_allclose(at(p.alpha, t), np.exp(-.5 * integral), rtol=1e-12)
  np.testing.assert_allclose(at(p.sigma, t), 1 - np.exp(-integral), rtol=1e-12)


@laws.float64
def test_shifted_processes_have_the_log_snr_of_another_resolution():
  """arXiv:2301.11093, eq. 4, 5: the SNR times (64 / d)^2, variance preserved;
  of the straight path, t -> s t / (1 + (s - 1) t) with s = d / 64.

  Values and slopes are finite at both ends, where alpha or sigma is 0.
  """
  for base, power in ((PROCESSES['vp_cosine'], 2),
                      (PROCESSES['flow_matching'], 1)):
    p = shift.shifted(base, shift.resolution_shift(128), power=power)
    t = tables.interior(base)
    np.testing.assert_allclose(
        np.exp(at(p.log_snr, t) - at(base.log_snr, t)), 1 / 4, rtol=1e-9)
    np.testing.assert_allclose(at(p.alpha, t)**power + at(p.sigma, t)**power, 1,
                               rtol=1e-12)
    np.testing.assert_allclose(at(p.time, at(p.log_snr, t)), t, rtol=1e-9)
    ends = jnp.asarray([p.t_min, p.t_max])
    for schedule in (p.alpha, p.sigma):
      np.testing.assert_allclose(np.sort(at(schedule, ends)), [0, 1],
                                 rtol=1e-15)
      slopes = at(jax.vmap(jax.grad(schedule)), ends)
      # A cosine's own noise rises infinitely fast at first.
      assert np.isfinite(slopes if power == 1 else slopes[-1:]).all()
    assert p.grid(5)[0] == p.t_max and p.ends_in_noise
    # Even in time through the levels of the new process.
    np.testing.assert_allclose(p.log_snr(p.times(jnp.asarray(1.0))), -20,
                               rtol=1e-9)


@each_process
@laws.float64
def test_transition_composes_to_perturb(name):
  """Scales multiply, variances accumulate, over 7 uneven steps from time 0."""
  p = PROCESSES[name]
  times = p.t_max * np.linspace(0, 1, 8)**2
  if name == 'edm':
    times[0] = p.t_min
  scale, var = 1.0, at(p.sigma, times[0])**2
  for s, t in zip(times[:-1], times[1:]):
    factor, std = process.transition(p, jnp.asarray(s), jnp.asarray(t))
    scale, var = factor * scale, factor**2 * var + std**2
    np.testing.assert_allclose(scale * at(p.alpha, times[0]), at(p.alpha, t),
                               rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(var, at(p.sigma, t)**2, rtol=1e-10)


@pytest.mark.parametrize('name', tables.NOISELESS)
def test_transition_from_no_noise_is_perturb(name):
  """Also where alpha is 0 at the other end: nothing is NaN."""
  p = PROCESSES[name]
  for t in (0.5 * p.t_max, p.t_max):
    scale, std = process.transition(p, jnp.asarray(0.), jnp.asarray(t))
    np.testing.assert_allclose(scale, at(p.alpha, t), rtol=1e-6)
    np.testing.assert_allclose(std, at(p.sigma, t), rtol=1e-6)


@each_process
def test_perturb_and_transition_draw_one_law(name):
  """Kolmogorov-Smirnov of 4000 draws, in one shot and in 5 steps."""
  p = PROCESSES[name]
  x0 = 0.7 * jnp.ones((4000, 1))
  noise = jax.random.normal(jax.random.key(5), (6, 4000, 1))
  end = 0.6 * p.t_max
  times = jnp.linspace(p.t_min, end, 6)
  x = process.perturb(p, x0, noise[0], times[0])
  for s, t, z in zip(times[:-1], times[1:], noise[1:]):
    scale, std = process.transition(p, s, t)
    x = scale * x + std * z
  law = stats.norm(.7 * at(p.alpha, end), at(p.sigma, end)).cdf
  shot = process.perturb(p, x0, noise[0], times[-1])
  assert stats.kstest(np.ravel(x), law).pvalue > 1e-3
  assert stats.kstest(np.ravel(shot), law).pvalue > 1e-3


def test_perturb_takes_one_time_an_example():
  p = PROCESSES['vp_linear']
  x0, eps = jax.random.normal(jax.random.key(0), (2, 3, 2, 2, 1))
  t = jnp.asarray([.1, .5, .9])
  got = process.perturb(p, x0, eps, t)
  for i in range(3):
    np.testing.assert_allclose(
        got[i], process.perturb(p, x0[i:i + 1], eps[i:i + 1], t[i])[0],
        rtol=1e-6, atol=1e-6)


@each_process
@pytest.mark.parametrize('data_std', [0.5, 2.0])
def test_prior_sample_has_the_law_at_t_max(name, data_std):
  p = PROCESSES[name]
  x = process.prior_sample(jax.random.key(0), p, (4000, 1), data_std)
  with jax.enable_x64(True):
    std = np.hypot(at(p.alpha, p.t_max) * data_std, at(p.sigma, p.t_max))
  # The noise is the same in every row, so its fit is checked once, below.
  noise = normal_each(
      fold_in_each(jax.random.key(0), jnp.arange(4000)), (1,))
  np.testing.assert_allclose(x, std * np.asarray(noise), rtol=1e-5)
  assert stats.kstest(np.ravel(noise), 'norm').pvalue > 1e-3


def test_prior_sample_has_the_law_at_the_time_it_is_told():
  """The same noise at every time, of standard deviation sqrt(.25 + t^2)."""
  p, key = PROCESSES['edm'], jax.random.key(0)
  noise = process.prior_sample(key, p, (3, 2), .5) / np.sqrt(.25 + 80**2)
  x = process.prior_sample(key, p, (3, 2), .5, time=2.)
  np.testing.assert_allclose(x, np.sqrt(.25 + 4) * noise, rtol=1e-5)


def test_prior_sample_depends_on_the_index_only():
  p, key = PROCESSES['edm'], jax.random.key(0)
  whole = process.prior_sample(key, p, (6, 3))
  np.testing.assert_array_equal(process.prior_sample(key, p, (4, 3)), whole[:4])
  index = jnp.asarray([5, 0])
  np.testing.assert_array_equal(
      process.prior_sample(key, p, (2, 3), index=index), whole[index])


@each_process
def test_ends_in_noise_tells_where_alpha_ends(name):
  """A Python value, also where the process is made inside of what is traced."""
  p = PROCESSES[name]
  assert p.ends_in_noise is (name in tables.ZERO_TERMINAL_SNR)
  assert p.ends_in_noise is bool(p.alpha(jnp.asarray(p.t_max)) == 0)


@pytest.mark.parametrize('make, message', [
    (lambda: process.vp_linear(2., 1.), 'vp_linear: 0 < beta_min < beta_max'),
    (lambda: process.vp_linear(0.), 'vp_linear: 0 < beta_min'),
    (lambda: process.sub_vp(2., 1.), 'sub_vp: 0 < beta_min < beta_max'),
    (lambda: shift.shifted(process.vp_cosine(), 21.), 'shifted: shift must'),
    (lambda: shift.shifted(process.vp_cosine(), 1., power=0),
     'shifted: power must be positive'),
    (lambda: shift.resolution_shift(0), 'resolution_shift: size must be'),
    (lambda: process.vp_cosine(-.1), 'vp_cosine: offset must not be negative'),
    (lambda: process.vp_cosine(t_max=1.1), r'vp_cosine: t_max must be in \(0'),
    (lambda: process.ve(1., .1), 've: 0 < sigma_min < sigma_max'),
    (lambda: process.edm(0.), 'edm: 0 < sigma_min'),
    (lambda: process.discretize(np.zeros((2, 2))), r'discretize: .*\[T\]'),
    (lambda: process.discretize(np.array([])), r'discretize: .*\[T\]'),
    (lambda: process.discretize(np.array([.1, 1.])), r'discretize: .*\(0, 1\)'),
])
def test_processes_refuse_bad_numbers(make, message):
  with pytest.raises(ValueError, match=message):
    make()


@each_process
@laws.float64
def test_gradients_of_log_snr_and_time_are_inverse(name):
  p = PROCESSES[name]
  t = p.t_min + (p.t_max - p.t_min) * jnp.asarray([.0103, .2707, .6301, .9907])
  there = at(jax.vmap(jax.grad(p.log_snr)), t)
  back = at(jax.vmap(jax.grad(p.time)), p.log_snr(t))
  np.testing.assert_allclose(there * back, 1, rtol=1e-8)


def test_transition_is_differentiable_and_finite():
  p = PROCESSES['vp_cosine']
  grads = jax.grad(lambda s, t: sum(process.transition(p, s, t)), (0, 1))(
      .3, .6)
  chex.assert_tree_all_finite(grads)


@pytest.mark.parametrize('name', tables.NOISELESS)
def test_time_of_infinite_log_snr_is_an_end(name):
  p = PROCESSES[name]
  assert at(p.time, np.inf) == 0
  if name in tables.ZERO_TERMINAL_SNR:
    assert at(p.time, -np.inf) == p.t_max
    assert at(p.alpha, at(p.time, -np.inf)) == 0
