"""Every guidance is the identity where it should be, and its paper's formula.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import exact
from genjax.diffusion import fields
from genjax.diffusion import guidance
from genjax.diffusion import samplers
from tests import laws
from tests.diffusion.tables import PROCESSES

_RNG = np.random.default_rng(1)
_X = _RNG.normal(size=(3, 2, 2))
_A, _B = _RNG.normal(size=(2, 4, 4))
_NAMES = ('vp_linear', 'edm', 'flow_matching')
_SCALES = (2.5, np.array([.5, 1.0, 4.0]))


def _linear(matrix):
  return lambda x, t: (x.reshape(-1, 4) @ matrix).reshape(x.shape) + t


_COND, _UNCOND = _linear(_A), _linear(_B)
GUIDED = {
    'classifier_free': guidance.classifier_free,
    'autoguidance': guidance.autoguidance,
    'rescaled': lambda cond, uncond, scale: guidance.rescaled(
        guidance.classifier_free(cond, uncond, scale), cond, .7),
    'projected': guidance.projected,
    'projected, limited': lambda cond, uncond, scale: guidance.projected(
        cond, uncond, scale, eta=.5, limit=.3),
    **{f'zero_star on {name}': lambda *args, p=PROCESSES[name]: (
        guidance.zero_star(p, *args)) for name in _NAMES},
}


@pytest.mark.parametrize('name', list(GUIDED))
@laws.float64
def test_scale_one_is_the_conditional_model(name):
  x, t = jnp.asarray(_X), jnp.asarray(.4)
  np.testing.assert_allclose(GUIDED[name](_COND, _UNCOND, 1.0)(x, t),
                             _COND(x, t), rtol=1e-9)
  moved = GUIDED[name](_COND, _UNCOND, 3.0)(x, t) - _COND(x, t)
  assert float(jnp.min(jnp.max(jnp.abs(moved), (1, 2)))) > .01


@pytest.mark.parametrize('name', list(GUIDED))
@laws.float64
def test_each_sample_has_its_scale_and_its_time(name):
  """A row of a batch is what it is alone."""
  x, scale = jnp.asarray(_X), jnp.asarray(_SCALES[1])
  t = jnp.asarray([.2, .4, .7])

  def shifted(f):
    return lambda x, t: f(x, 0.0) + jnp.reshape(t, (-1, 1, 1))

  made = [GUIDED[name](shifted(_COND), shifted(_UNCOND), s)
          for s in (scale, *scale)]
  got = made[0](x, t)
  for i in range(3):
    np.testing.assert_allclose(got[i], made[i + 1](x[i:i + 1], t[i:i + 1])[0],
                               rtol=1e-9)
  assert GUIDED[name](_COND, _UNCOND, 2.0)(
      jnp.asarray(_X, jnp.bfloat16), jnp.asarray(.4, jnp.float32)
  ).dtype == jnp.bfloat16


@pytest.mark.parametrize('scale', _SCALES)
@laws.float64
def test_projected_is_classifier_free_at_eta_one(scale):
  x, t = jnp.asarray(_X), jnp.asarray(.4)
  np.testing.assert_allclose(
      guidance.projected(_COND, _UNCOND, scale, eta=1.0)(x, t),
      guidance.classifier_free(_COND, _UNCOND, scale)(x, t), rtol=1e-9)


@laws.float64
def test_projected_leaves_the_part_along_cond_out_and_limits_the_rest():
  x, t, rows = jnp.asarray(_X), jnp.asarray(.4), np.zeros((3, 4))
  told, without = (np.asarray(f(x, t)).reshape(3, 4) for f in (_COND, _UNCOND))
  push = _RNG.normal(size=_X.shape)
  for i in range(3):
    d = told[i] - without[i] + push[i].ravel()
    d *= min(1, .3 / np.linalg.norm(d))
    along = told[i] * (told[i] @ d) / (told[i] @ told[i])
    rows[i] = told[i] + 1.5 * (d - along + .2 * along)
  got = guidance.projected(_COND, _UNCOND, 2.5, eta=.2, limit=.3,
                           push=jnp.asarray(push))(x, t)
  np.testing.assert_allclose(got.reshape(3, 4), rows, rtol=1e-9)


@laws.float64
def test_momentum_adds_what_was_there_a_step_before():
  """Seen by a method that gives the guided x_0 for x."""
  keep = samplers.Sampler(lambda x: None, lambda noise, carry, x, denoiser,
                          span: (carry, denoiser(x, span.t)))
  sampler = guidance.momentum(
      keep, _COND, _UNCOND, lambda push: guidance.projected(
          _COND, _UNCOND, 2.0, eta=1.0, push=push), -.5)
  times, x = jnp.asarray([.9, .6, .4, .2]), jnp.asarray(_X)
  got = samplers.sample(jax.random.key(0), sampler, _COND, x, times).x
  before = np.zeros_like(_X)
  for t in times[:3]:
    difference = _COND(x, t) - _UNCOND(x, t) - .5 * before
    x, before = _COND(x, t) + difference, np.asarray(difference)
  np.testing.assert_allclose(got, x, rtol=1e-9)


@laws.float64
def test_rescaled_has_the_standard_deviation_of_cond():
  x, t = jnp.asarray(_X), jnp.asarray(.4)
  free = guidance.classifier_free(_COND, _UNCOND, 4.0)
  was, is_, half = (np.std(f(x, t), axis=(1, 2)) for f in (
      _COND, free, guidance.rescaled(free, _COND, .5)))
  whole = guidance.rescaled(free, _COND, 1.0)(x, t)
  np.testing.assert_allclose(np.std(whole, axis=(1, 2)), was, rtol=1e-9)
  np.testing.assert_allclose(half, .5 * was + .5 * is_, rtol=1e-9)
  flat = guidance.rescaled(lambda x, t: 0 * x + 3, _COND, 1.0)(x, t)
  np.testing.assert_array_equal(flat, 3)
  with pytest.raises(ValueError, match='rescaled: share must be in'):
    guidance.rescaled(free, _COND, 1.5)


@pytest.mark.parametrize('name', _NAMES)
@laws.float64
def test_zero_star_guides_velocities_from_the_best_multiple(name):
  """Its velocity, found by the field's definition; and none when it is still.
  """
  p, x, t = PROCESSES[name], jnp.asarray(_X), jnp.asarray(.4)
  told, without = (np.asarray(fields.velocity(p, f, x, t)).reshape(3, 4)
                   for f in (_COND, _UNCOND))
  best = np.sum(told * without, 1) / np.sum(without**2, 1)
  want = best[:, None] * without * (1 - 2.5) + 2.5 * told
  got = fields.velocity(p, guidance.zero_star(p, _COND, _UNCOND, 2.5), x, t)
  np.testing.assert_allclose(got.reshape(3, 4), want, rtol=1e-8, atol=1e-9)
  still = guidance.zero_star(p, _COND, _UNCOND, 1.0,
                             still_above=jnp.asarray(.3))
  np.testing.assert_allclose(fields.velocity(p, still, x, t), 0, atol=1e-9)
  np.testing.assert_allclose(still(x, jnp.asarray(.2)),
                             _COND(x, jnp.asarray(.2)), rtol=1e-8)


@pytest.mark.parametrize('name', ['vp_linear', 'flow_matching'])
@laws.float64
def test_classifier_adds_the_slope_to_the_score(name):
  p, x, t = PROCESSES[name], jnp.asarray(_X), jnp.asarray(.4)

  def log_prob(x, t):
    return jnp.sum(jnp.sin(x), (1, 2)) * t

  got = fields.score(p, guidance.classifier(p, _COND, log_prob, 3.0), x, t)
  np.testing.assert_allclose(
      got, fields.score(p, _COND, x, t) + 3 * t * jnp.cos(x), rtol=1e-9)
  np.testing.assert_array_equal(
      guidance.classifier(p, _COND, log_prob, 0.0)(x, t), _COND(x, t))


@pytest.mark.parametrize('name', ['flow_matching', 'vp_cosine'])
def test_classifier_guides_where_alpha_is_zero(name):
  """As classifier-free guidance does, of Gaussians whose classifier is exact.
  """
  p, x = PROCESSES[name], jnp.asarray([[-1.0], [0.0], [2.0]])
  cond, uncond = (exact.gaussian(p, jnp.full(1, m), jnp.full((1, 1), v))
                  for m, v in ((1.0, .25), (0.0, 1.0)))
  t = jnp.asarray(p.t_max)
  got = guidance.classifier(p, uncond.denoiser, lambda x, t: cond.log_prob(
      x, t) - uncond.log_prob(x, t), 2.0)(x, t)
  want = guidance.classifier_free(cond.denoiser, uncond.denoiser, 2.0)(x, t)
  np.testing.assert_allclose(got, want, atol=4 / 148)  # x over the noise there


def test_projected_refuses_a_limit_that_lets_nothing_through():
  with pytest.raises(ValueError, match='projected: limit must be positive'):
    guidance.projected(_COND, _UNCOND, 2.0, limit=0.0)
