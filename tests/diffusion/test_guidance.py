"""Guidance is linear in denoisers, and picks what it says it picks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import guidance
from tests.diffusion.tables import PROCESSES

_X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 2)), jnp.float32)
_T = jnp.asarray(0.5)


def _cond(x, t):
  return 2 * x + t


def _uncond(x, t):
  return x - t


@pytest.mark.parametrize('scale, want', [
    (1, _cond), (0, _uncond),
    (3.0, lambda x, t: _uncond(x, t) + 3 * (_cond(x, t) - _uncond(x, t))),
])
@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: jnp.full(3, s)])
def test_classifier_free_extrapolates_from_uncond_through_cond(
    scale, want, wrap):
  guided = guidance.classifier_free(_cond, _uncond, wrap(scale))
  np.testing.assert_allclose(guided(_X, _T), want(_X, _T), rtol=1e-5,
                             atol=1e-6)


def test_classifier_free_takes_one_scale_a_sample():
  scales = jnp.asarray([0., 1., 4.])
  got = guidance.classifier_free(_cond, _uncond, scales)(_X, _T)
  for i in range(3):
    alone = guidance.classifier_free(_cond, _uncond, float(scales[i]))
    np.testing.assert_allclose(got[i], alone(_X, _T)[i], rtol=1e-6, atol=1e-6)


def test_classifier_free_keeps_the_dtype_of_x():
  x = _X.astype(jnp.bfloat16)
  scale = jnp.ones(3, jnp.float32)
  got = guidance.classifier_free(lambda x, t: x, lambda x, t: 2 * x, scale)(
      x, _T)
  assert got.dtype == jnp.bfloat16


@pytest.mark.parametrize('log_snr, want', [
    (-2.01, _cond), (-1.99, _uncond), (0.99, _uncond), (1.01, _cond)])
def test_limited_interval_guides_inside_only(log_snr, want):
  """Here `_uncond` stands for the guided one."""
  p = PROCESSES['vp_linear']
  picked = guidance.limited_interval(p, _uncond, _cond, log_snr_low=-2.,
                                     log_snr_high=1.)
  t = p.time(jnp.asarray(log_snr))
  np.testing.assert_allclose(picked(_X, t), want(_X, t), rtol=1e-6, atol=1e-6)


def test_limited_interval_evaluates_one_of_the_two():
  p, calls = PROCESSES['edm'], []

  def counted(name):

    def denoise(x, t):
      jax.debug.callback(lambda: calls.append(name))
      return x

    return denoise

  picked = jax.jit(guidance.limited_interval(
      p, counted('guided'), counted('cond'), log_snr_low=-1., log_snr_high=1.))
  picked(_X, jnp.asarray(1.0)).block_until_ready()
  picked(_X, jnp.asarray(9.0)).block_until_ready()
  jax.effects_barrier()
  assert calls == ['guided', 'cond']


def test_limited_interval_is_of_each_time_of_a_batch():
  p, x = PROCESSES['edm'], jnp.ones((3, 2))
  picked = guidance.limited_interval(
      p, lambda x, t: 2 * x, lambda x, t: 3 * x, log_snr_low=-1.,
      log_snr_high=1.)
  got = picked(x, jnp.asarray([1., 9., .1]))
  np.testing.assert_array_equal(got[:, 0], [2, 3, 3])
  for row, t in zip(got, (1., 9., .1)):
    np.testing.assert_array_equal(row, picked(x, jnp.asarray(t))[0])


def test_limited_interval_refuses_empty_intervals():
  p = PROCESSES['edm']
  with pytest.raises(ValueError, match='limited_interval: log_snr_low must'):
    guidance.limited_interval(p, _cond, _uncond, log_snr_low=1.,
                              log_snr_high=1.)


def test_clip_keeps_to_the_range():
  got = guidance.clip(lambda x, t: 10 * x, -0.5, 2.0)(_X, _T)
  np.testing.assert_allclose(got, np.clip(10 * _X, -0.5, 2.0), rtol=1e-6)
  assert float(jnp.max(guidance.clip(lambda x, t: 10 * x)(_X, _T))) == 1
  with pytest.raises(ValueError, match='clip: low must be below high'):
    guidance.clip(lambda x, t: x, 1.0, -1.0)


def test_shares_of_classes_mix_the_denoisers_of_the_largest_two():
  """Seen by denoisers that give their class times x."""
  mixed = guidance.mixing(lambda params, cond=None: (
      lambda x, t: params * x if cond is None else
      (cond['label'] + cond['vector'])[:, None] * x))
  x, vector = np.float32([[1, 2], [3, 4], [5, 6]]), np.float32([0, 10, 20])
  shares = np.float32([[.3, .1, .6], [.2, .7, .1], [0, 0, 1]])
  want = np.array([(.6 * 2) / .9, (.7 + 10 * .9) / .9, 22])
  np.testing.assert_allclose(
      mixed(1.0, {'label': shares, 'vector': vector})(x, 0.5),
      want[:, None] * x, rtol=1e-5)
  np.testing.assert_allclose(  # of the one class that there is
      mixed(1.0, {'label': np.ones((3, 1), np.float32), 'vector': vector})(
          x, 0.5), vector[:, None] * x, rtol=1e-5)
  whole = mixed(1.0, {'label': np.array([2, 1, 0]), 'vector': vector})(x, 0.5)
  np.testing.assert_array_equal(whole, [[2, 4], [33, 44], [100, 120]])
  np.testing.assert_array_equal(mixed(3.0)(x, 0.5), 3 * x)
