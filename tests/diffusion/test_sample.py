"""What `sample` promises of any sampler: programs, noise, states, spans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests.diffusion import tables
from tests.diffusion.tables import PROCESSES
from tests.diffusion.tables import SAMPLERS

_KEY = jax.random.key(0)


def test_sample_compiles_once_for_all_params_keys_conditions_and_grids():
  """One trace a shape and number of steps, whatever the values."""
  p, traces = PROCESSES['vp_linear'], []

  def network(variables, x, noise, cond):
    return variables['params'] * x + cond['label'][:, None]

  make = make_denoiser(Diffusion(network, fixed(p), prediction.v, 1.))

  @jax.jit
  def run(params, key, x, grid, label):
    traces.append(grid.shape)
    return [samplers.sample(key, SAMPLERS[sampler](p),
                            make(params, {'label': label}), x, grid).x[0, 0]
            for sampler in (*tables.DISTINCT, 'adaptive')]

  outputs = np.stack([run(
      init_model(jnp.float32(.1 * i)), jax.random.key(i), jnp.ones((2, 1)) * i,
      tables.grid(p, 3) * (1 - .1 * i), jnp.asarray([i, 2])) for i in range(3)])
  assert len(traces) == 1
  for values in outputs.T:
    assert len(np.unique(values)) == 3


def test_samples_do_not_depend_on_the_batch_size():
  """Bitwise: row i of any batch is the sample of index i."""
  p, grid = PROCESSES['edm'], jnp.asarray([80., 5., .04, 0.])
  names = ('adaptive', 'ddpm', 'heun_churn', 'dpm_solver_3m_sde', 'restart')

  @jax.jit
  def run(x, index=None):
    return [samplers.sample(_KEY, SAMPLERS[name](p), tables.gaussian(p, 1.), x,
                            grid, index=index).x
            for name in names]

  x, rows = process.prior_sample(_KEY, p, (5, 2)), jnp.asarray([4, 1])
  for name, whole, first, some, same_start in zip(
      names, run(x), run(x[:2], jnp.arange(2)), run(x[rows], rows),
      run(jnp.ones((5, 2)))):
    np.testing.assert_array_equal(first, whole[:2])
    np.testing.assert_array_equal(some, whole[rows])
    assert len(np.unique(np.asarray(same_start))) == (
        1 if name == 'adaptive' else 10), name


def test_sample_draws_new_noise_at_every_step():
  """With no data, ancestral steps sum independent noise: no value repeats."""
  p = PROCESSES['edm']
  states = samplers.sample(
      _KEY, samplers.ancestral(p), lambda x, t: 0 * x, jnp.zeros((2, 3)),
      jnp.asarray([8., 4., 2., 1.]), trajectory=True).states
  # x_s = r x_t + std z, with r = (s/t)^2 = 1/4 and std = s sqrt(1 - (s/t)^2).
  z = (states[1:] - states[:-1] / 4) / (
      jnp.asarray([4., 2., 1.])[:, None, None] * .75**.5)
  assert len(np.unique(np.round(z, 3))) == z.size


@pytest.mark.parametrize('sampler', ['ddim', 'heun', 'dpm_solver_2m', 'unipc'])
def test_trajectory_is_every_state_from_first_to_last(sampler):
  p, denoiser = PROCESSES['edm'], tables.gaussian(PROCESSES['edm'], 1.)
  x, grid = jnp.ones((2, 3)), jnp.asarray([2., 1., .5, .2])
  run = lambda grid, **kw: samplers.sample(
      _KEY, SAMPLERS[sampler](p), denoiser, x, grid, **kw)
  last, carry, states = run(grid, trajectory=True)
  assert states.shape == (4, 2, 3)
  np.testing.assert_array_equal(states[0], x)
  np.testing.assert_array_equal(states[-1], last)
  for i in (1, 3):
    short = run(grid[:i + 1])
    np.testing.assert_allclose(short.x, states[i], rtol=1e-6)
    assert short.states is None
  if sampler == 'dpm_solver_2m':  # remembers where it was before the last step
    np.testing.assert_array_equal(carry.times, grid[2:3])
    np.testing.assert_array_equal(carry.x[0], states[2])
    np.testing.assert_allclose(carry.x0[0], denoiser(states[2], grid[2]),
                               rtol=1e-6)


def test_every_step_is_told_its_place_in_the_grid():
  """A sampler that is the place itself: t, s, index and count, and what its
  carry has of all of them."""

  def step(noise, carry, x, denoiser, span):
    assert isinstance(span.count, int)
    here = jnp.stack([span.t, span.s, span.index * 1.0, span.count * 1.0])
    return carry + here, here + 0 * x

  sampler = samplers.Sampler(lambda x: jnp.zeros(4), step)
  x, grid = jnp.zeros((1, 4), jnp.bfloat16), jnp.asarray([4., 2., 1.])
  _, carry, states = samplers.sample(_KEY, sampler, None, x, grid,
                                     trajectory=True)
  np.testing.assert_array_equal(states[1:, 0], [[4, 2, 0, 2], [2, 1, 1, 2]])
  np.testing.assert_array_equal(carry, [6, 3, 1, 4])
  assert (states.dtype, carry.dtype) == (jnp.bfloat16, jnp.float32)
  up = samplers.encode(sampler, None, x, grid)
  np.testing.assert_array_equal(up.x, [[2, 4, 1, 2]])


@pytest.mark.parametrize('grid', [jnp.ones(1), jnp.ones((2, 2)), jnp.ones(())])
def test_sample_refuses_what_is_no_grid(grid):
  p = PROCESSES['edm']
  with pytest.raises(ValueError, match=r'sample: times must be \[T \+ 1\]'):
    samplers.sample(_KEY, samplers.ddim(p), tables.gaussian(p, 1.),
                    jnp.ones((1, 1)), grid)
