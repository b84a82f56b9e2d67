"""Times and coefficients are float32 at least, whatever x and t are.

Half-precision numbers are float32 numbers: what is done in float32 gives of
both the same, but for what is rounded on the way in and out.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import conditions
from genjax.diffusion import exact
from genjax.diffusion import guidance
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests import laws
from tests.diffusion.tables import PROCESSES
from tests.diffusion.tables import SAMPLERS

NARROW = (jnp.bfloat16, jnp.float16, jnp.int32)
TWO = (jnp.bfloat16, jnp.int32)
# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})
_KEY = jax.random.key(0)
_MEAN, _VAR = .3, .25
_METHODS = {
    'ddim': samplers.ddim, 'ancestral': samplers.ancestral,
    'heun': samplers.heun, 'dpm_solver_2m': samplers.dpm_solver_2m}


def _roundings(dtype) -> float:
  """The largest relative error of one rounding to `dtype`."""
  return float(jnp.finfo(dtype).eps) / 2


@pytest.mark.parametrize('name', PROCESSES)
def test_schedules_are_float32_at_times_of_any_dtype(name):
  p = PROCESSES[name]
  for dtype in NARROW:
    t = jnp.asarray([0.25, 0.5, 1.0]).astype(dtype)
    for f in (p.alpha, p.sigma, p.log_snr, p.time):
      got = f(t)
      assert got.dtype == jnp.float32
      np.testing.assert_array_equal(got, f(t.astype(jnp.float32)))
  with jax.enable_x64(True):
    assert p.sigma(jnp.asarray(.5)).dtype == jnp.float64


def _data(dtype, shape=(64, 1)):
  return (3 * jax.random.normal(jax.random.key(1), shape)).astype(dtype)


@pytest.mark.parametrize('steps', [100, 300, 1000])
def test_sampling_in_half_precision_is_that_in_float32(steps):
  """To three roundings of the result: of what the denoiser sees last and
  before, and of what is given back; noise and levels are the same."""
  p = PROCESSES['vp_linear']
  methods = tuple(_METHODS) if steps == 1000 else ('dpm_solver_2m',)
  denoiser = exact.gaussian(p, jnp.full(1, _MEAN), jnp.full((1, 1), _VAR))[0]
  seen = []

  def spy(x, t):
    seen.append((x.dtype, t.dtype))
    return denoiser(x, t)

  @jit
  def run(x):
    return [samplers.sample(_KEY, _METHODS[method](p), spy, x,
                            times.even(p, steps)).x for method in methods]

  for dtype in (jnp.bfloat16, jnp.float16)[:1 + (steps == 300)]:
    x = _data(dtype)
    seen.clear()
    got = run(x)
    assert set(seen) == {(x.dtype, jnp.dtype('f4'))}
    for method, y, want in zip(methods, got, run(x.astype(jnp.float32))):
      assert y.dtype == dtype
      error = np.abs(y.astype(jnp.float32) - want).max()
      allowed = 3 * _roundings(dtype) * np.abs(want).max()
      assert error <= allowed, (method, error, allowed)  # NaN is not


@pytest.mark.parametrize('steps, methods', [
    (2, ('ddpm', 'heun_churn', 'unipc', 'dpm_solver_3m_sde')),
    pytest.param(2, tuple(SAMPLERS), marks=pytest.mark.slow),
    # Within a short step the adaptive one and restarts do what they do in a
    # long.
    pytest.param(1000, tuple(name for name in SAMPLERS
                             if name not in ('adaptive', 'restart')),
                 marks=pytest.mark.slow)], ids=['few', 'all', 'many steps'])
def test_every_sampler_has_its_spread_in_half_precision(steps, methods):
  """Finite, and its standard deviation that of float32 to 2 %."""
  p = PROCESSES['vp_linear']
  denoiser = exact.gaussian(p, jnp.full(1, _MEAN), jnp.full((1, 1), _VAR))[0]

  @jit
  def run(x):
    return [samplers.sample(_KEY, SAMPLERS[name](p), denoiser, x,
                            times.even(p, steps)).x for name in methods]

  x = process.prior_sample(_KEY, p, (256, 1))
  for name, got, want in zip(methods, run(x.astype(jnp.bfloat16)), run(x)):
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32).std(), want.std(),
                               rtol=.02, err_msg=name)  # NaN is not


def test_encode_diffuse_and_trajectories_keep_the_dtype_of_x():
  """All states are float32's, rounded once (the code: of what is handed on)."""
  p = PROCESSES['vp_linear']
  grid = times.even(p, 300)
  half = lambda x, t: 0.5 * x.astype(jnp.float32)  # exact in any dtype

  @jit
  def run(x):
    return (samplers.sample(_KEY, samplers.ddim(p), half, x, grid,
                            trajectory=True).states,
            samplers.encode(samplers.dpm_solver_2m(p), half, x, grid[:-30]).x,
            process.diffuse(_KEY, p, x, grid[::-1]))

  for dtype in (jnp.bfloat16, jnp.int32):
    x = _data(dtype, (8, 2))
    for part, got, want in zip('sed', run(x), run(x.astype(jnp.float32))):
      if dtype == jnp.int32:  # is taken as float32
        assert got.dtype == jnp.float32
        np.testing.assert_array_equal(got, want)
      elif part == 'd':
        np.testing.assert_array_equal(got, want.astype(dtype))
      else:
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got.astype(jnp.float32), want,
            atol=3 * _roundings(dtype) * np.abs(want).max())


@laws.float64
def test_sampling_in_float64_has_times_in_float64():
  p, seen = PROCESSES['edm'], []
  grid = times.karras(p, 5)
  assert grid.dtype == jnp.float64
  samplers.sample(
      _KEY, samplers.ddim(p), lambda x, t: seen.append(t.dtype) or x,
      jnp.ones((1, 1)), grid.astype(jnp.float32))
  assert seen == [jnp.float64]


@pytest.mark.parametrize('dtype', TWO)
def test_loss_of_data_in_any_dtype_is_that_in_float32(dtype):
  """Its noise, its times and its sums; masks are no numbers, and a condition
  keeps its dtype."""
  seen = []

  def network(variables, x, noise, cond, **_):
    seen.append((x.dtype, noise.dtype, cond))
    return 0.1 * x

  run = loss.make_loss(
      Diffusion(network, fixed(PROCESSES['vp_linear']), prediction.v, 1.),
      weighting=weighting.v, null=conditions.null, drop=0.5)
  x, index = _data(dtype, (600, 2)), np.arange(600)
  mask = index < 515  # bfloat16 has no 515

  @jit
  def losses(batch):
    return *run(init_model({}), _KEY, batch, None), seen[-1][2]

  got, bins, narrow = losses({
      'x': x, 'index': index, 'mask': mask.astype(jnp.bfloat16),
      'cond': {'label': index.astype(np.uint8)}})
  want, _, wide = losses({
      'x': np.asarray(x, np.float32), 'index': index,
      'mask': mask.astype(np.float32),
      'cond': {'label': (index % 256).astype(np.int32)}})
  assert got.dtype == jnp.float32 and got == want
  assert sum(float(m.count) for m in bins.values()) == 515
  assert seen[0][:2] == (jnp.float32, jnp.float32)
  assert narrow['label'].dtype == jnp.uint8
  for name in ('label', 'absent'):
    np.testing.assert_array_equal(narrow[name], wide[name])


def test_mask_hides_what_is_no_number():
  """In the data and in the condition."""
  p = PROCESSES['vp_linear']

  def network(variables, x, noise, cond, **_):
    vector = jnp.where(cond['absent'][:, None], 0, cond['vector'])
    return variables['params'] * (x + vector)

  run = loss.make_loss(Diffusion(network, fixed(p), prediction.v, 1.),
                       weighting=weighting.v, null=conditions.null)
  grad = jit(jax.value_and_grad(
      lambda w, batch: run(init_model(w), _KEY, batch, None)[0]))
  ones = jnp.ones((4, 2))
  batch = {'x': ones, 'index': jnp.arange(4), 'cond': {'vector': ones},
           'mask': jnp.asarray([1., 1., 1., 0.])}
  want = grad(.5, batch)
  broken = ones.at[3].set(jnp.nan)
  got = grad(.5, batch | {'x': broken, 'cond': {'vector': broken}})
  assert np.isfinite(want).all()
  np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('dtype', TWO)
def test_denoisers_are_those_of_float32(dtype):
  """The exact ones, guidance, and predictions: rounded once at most."""
  p, x = PROCESSES['edm'], _data(dtype, (3, 2))
  wide, t = x.astype(jnp.float32), jnp.asarray([.5, 1., 2.])
  data = _data(jnp.float32, (300, 2))
  for truth in (exact.finite_dataset(p, data.astype(jnp.bfloat16), chunk=2),
                exact.gaussian(p, jnp.zeros(2, int), jnp.eye(2, dtype=int))):
    every = jit(lambda x, t: [f(x, t) for f in (
        truth.denoiser, truth.log_prob, truth.velocity)])
    for got, want in zip(every(x, t), every(wide, t)):
      assert got.dtype == jnp.float32
      np.testing.assert_array_equal(got, want)
  scale = jnp.asarray([1.1, 7.3, -.7])
  guided = guidance.classifier_free(lambda x, t: x, lambda x, t: 1.01 * x,
                                    scale)
  both = guidance.limited_interval(p, guided, lambda x, t: x, log_snr_low=-9.,
                                   log_snr_high=9.)
  floating = jnp.result_type(x, float)
  for f, time in ((guided, t), (both, t[0])):
    got = f(x, time)
    assert got.dtype == floating
    want = wide + (scale[:, None] - 1) * (wide - 1.01 * wide)
    np.testing.assert_allclose(
        got.astype(jnp.float32), want,
        atol=20 * _roundings(floating) * np.abs(wide).max())
  network = lambda variables, x, noise, cond: x
  made = make_denoiser(Diffusion(network, fixed(p), prediction.edm(.5), .5))(
      init_model({}))
  np.testing.assert_allclose(
      made(x, t).astype(jnp.float32), made(wide, t),
      atol=2 * _roundings(floating) * np.abs(wide).max())


def test_a_traced_grid_out_of_order_gives_nan():
  """A known one is an error; so are indices that are none."""
  p, x = PROCESSES['edm'], jnp.ones((2, 1))
  run = jit(lambda grid: (
      samplers.sample(_KEY, samplers.ddim(p), lambda x, t: x, x, grid).x,
      samplers.encode(samplers.ddim(p), lambda x, t: x, x, grid).x,
      process.diffuse(_KEY, p, x, grid[::-1])))
  assert all(np.isfinite(part).all() for part in run(jnp.asarray([2., 1., .5])))
  for grid in ([2., 1., 1.], [1., 2., .5], [2., jnp.nan, .5]):
    grid = jnp.asarray(grid)
    assert all(np.isnan(part).any() for part in run(grid))
    for where, f in (
        ('sample', lambda g: samplers.sample(
            _KEY, samplers.ddim(p), lambda x, t: x, x, g)),
        ('encode', lambda g: samplers.encode(
            samplers.ddim(p), lambda x, t: x, x, g)),
        ('diffuse', lambda g: process.diffuse(_KEY, p, x, g[::-1]))):
      with pytest.raises(ValueError, match=f'{where}: times must strictly'):
        f(grid)
  for index in (jnp.zeros(1, int), jnp.zeros(2)):
    for where, f in (
        ('sample', lambda: samplers.sample(
            _KEY, samplers.ddim(p), lambda x, t: x, x, jnp.asarray([2., 1.]),
            index=index)),
        ('diffuse', lambda: process.diffuse(
            _KEY, p, x, jnp.asarray([1., 2.]), index=index)),
        ('prior_sample', lambda: process.prior_sample(
            _KEY, p, (2, 1), index=index))):
      with pytest.raises(ValueError, match=f'{where}: index must'):
        f()
