"""Predictor-corrector, restart and adaptive steps, each in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import exact
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PROCESSES

_STAY = samplers.Sampler(
    lambda x: None, lambda noise, carry, x, denoiser, span: (carry, x))


def _numbered(number=0, shape=None):
  """Noise that says which it is."""
  return jnp.full((1, 1), 1 + .01 * number)


def _step(sampler, p, x, t, s, denoiser=None):
  x = jnp.full((1, 1), x)
  span = samplers.Span(jnp.asarray(t), jnp.asarray(s), jnp.asarray(0), 1)
  return float(sampler.step(_numbered, sampler.init(x), x,
                            denoiser or tables.gaussian(p, .25), span)[1][0, 0])


@pytest.mark.parametrize('name', ['vp_cosine', 'edm'])
@laws.float64
def test_corrector_is_langevin_dynamics(name):
  """x + h score + sqrt(2 h) z, h = 2 (snr sigma)^2, at the end of the step:
  towards the marginal N(0, v), of which the score is -x / v."""
  p = PROCESSES[name]
  t, s, snr, x = .6 * p.t_max, .3 * p.t_max, .2, 1.3
  alpha, sigma = float(p.alpha(s)), float(p.sigma(s))
  h, v = 2 * (snr * sigma)**2, .25 * alpha**2 + sigma**2
  got = _step(samplers.predictor_corrector(p, _STAY, num_steps=2, snr=snr),
              p, x, t, s)
  noise = (float(got) - (1 - h / v)**2 * x) / np.sqrt(2 * h)
  # Two draws, numbered 1 and 3 if the predictor's are even.
  np.testing.assert_allclose(noise, (1 - h / v) * 1.01 + 1.03, rtol=1e-9)
  assert _step(samplers.predictor_corrector(p, _STAY), p, x, s, 0.) == x


def _exact_flow(p, seen):
  """A solver without an error, of data N(0, 1/4)."""
  flow = exact.gaussian(p, jnp.zeros(1), jnp.full((1, 1), .25)).flow

  def step(noise, carry, x, denoiser, span):
    jax.debug.callback(lambda t, s: seen.append((float(t), float(s))),
                       span.t, span.s, ordered=True)
    return carry, flow(x, span.t, span.s)

  return samplers.Sampler(lambda x: None, step)


@pytest.mark.parametrize('name', ['vp_cosine', 'edm', 'flow_matching'])
@laws.float64
def test_restart_adds_noise_and_solves_back_to_the_same_time(name):
  """By a solver without an error every repeat is the transition and the flow:
  which keep the law, and forget where x was."""
  p, seen = PROCESSES[name], []
  level = lambda ratio: float(p.time(jnp.asarray(-2 * np.log(ratio))))
  t, s, high = level(.5), level(.08), level(.4)
  sampler = samplers.restart(p, _exact_flow(p, seen), low=.1, high=.4,
                             num_steps=3, repeats=2)
  scale, std = process.transition(p, jnp.asarray(s), jnp.asarray(high))
  var_s, var_high = (
      .25 * p.alpha(u)**2 + p.sigma(u)**2 for u in map(jnp.asarray, (s, high)))
  back = np.sqrt(var_s / var_high)
  np.testing.assert_allclose(back**2 * (scale**2 * var_s + std**2), var_s,
                             rtol=1e-9)
  y = 1.3 * np.sqrt(var_s / (.25 * p.alpha(t)**2 + p.sigma(t)**2))
  for number in (0, 4):  # of 2 (3 + 1) draws, in the odd places
    y = back * (scale * y + std * (1 + .01 * (2 * number + 1)))
  got = _step(sampler, p, 1.3, t, s)
  jax.effects_barrier()
  np.testing.assert_allclose(got, y, rtol=1e-9)
  ratios = np.exp(-.5 * np.asarray(p.log_snr(jnp.asarray(seen))))
  want = np.linspace(.4**(1 / 7), .08**(1 / 7), 4)**7
  for repeat in (ratios[1:4], ratios[4:]):
    np.testing.assert_allclose(repeat, np.stack([want[:-1], want[1:]], 1),
                               rtol=1e-9)
  # No restart where the level is not crossed, before it or after.
  for start, end in ((level(.5), level(.2)), (level(.09), level(.05)),
                     (level(.5), 0.)):
    seen.clear()
    _step(sampler, p, 1.3, start, end)
    jax.effects_barrier()
    assert len(seen) == 1


@pytest.mark.parametrize('name', [
    'edm', *(pytest.param(name, marks=pytest.mark.slow)
             for name in ('vp_linear', 'flow_matching'))])
@laws.float64
def test_adaptive_steps_keep_to_their_tolerance(name):
  """A hundredth of the tolerance takes more evaluations and gives less error;
  the evaluations are counted as they are made."""
  p = PROCESSES[name]
  law = jnp.asarray([.3]), jnp.full((1, 1), .25)
  truth, calls = exact.gaussian(p, *law), []

  def counted(x, t):
    jax.debug.callback(lambda _: calls.append(1), t)
    return truth.denoiser(x, t)

  t, s = (p.time(jnp.asarray(-2 * np.log(ratio))) for ratio in (10., .02))
  x = jnp.asarray([[1.7]]) * p.sigma(t)
  want, errors, numbers = truth.flow(x, t, s), [], []
  run = jax.jit(lambda x, tolerance: samplers.sample(
      jax.random.key(0), samplers.adaptive(p, rtol=tolerance, atol=tolerance),
      counted, x, jnp.stack([t, s])), static_argnums=1)
  for tolerance in (1e-3, 1e-5):
    calls.clear()
    found = run(x, tolerance)
    jax.effects_barrier()
    numbers.append(int(found.carry[0]))
    assert len(calls) == numbers[-1]
    errors.append(float(jnp.abs(found.x - want).max()))
    # Of a step, not of all of them, some of which the flow enlarges.
    assert errors[-1] < 100 * tolerance
  assert errors[0] > 10 * errors[1], errors
  assert numbers == sorted(set(numbers)), numbers
  few = samplers.sample(
      jax.random.key(0), samplers.adaptive(p, rtol=1e-7, max_steps=2),
      truth.denoiser, x, jnp.stack([t, s])).x
  assert np.isnan(few).all()


@pytest.mark.parametrize('make, message', [
    (lambda p: samplers.predictor_corrector(p, num_steps=0), 'num_steps must'),
    (lambda p: samplers.predictor_corrector(p, snr=0.), 'snr must be pos'),
    (lambda p: samplers.restart(p, low=.3, high=.1), 'restart: 0 < low < high'),
    (lambda p: samplers.restart(p, repeats=0), 'repeats must be 1'),
    (lambda p: samplers.restart(p, num_steps=0), 'num_steps must be 1'),
    (lambda p: samplers.adaptive(p, rtol=0.), 'adaptive: rtol must be pos'),
])
def test_composed_samplers_refuse_bad_options(make, message):
  with pytest.raises(ValueError, match=message):
    make(PROCESSES['edm'])


def test_check_start_refuses_a_start_without_signal():
  for name in ('vp_cosine', 'flow_matching'):
    p = PROCESSES[name]
    for sampler in (samplers.euler_maruyama(p), samplers.predictor_corrector(
        p, samplers.euler_maruyama(p))):
      with pytest.raises(ValueError, match='sampler: must be one that can sta'):
        samplers.check_start('sampler', sampler, p, times.even(p, 4))
      samplers.check_start('sampler', sampler, p, times.even(p, 4)[1:])
    samplers.check_start('sampler', samplers.ancestral(p), p,
                         times.even(p, 4))
