"""Guidance of one run by another, against its formulas step by step."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import noisy_inputs
from genjax.diffusion import process
from genjax.runs import classifier
from genjax.runs import diffusion
from genjax.runs import guides
from genjax.runs import vae
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Run
from tests.diffusion.tables import PROCESSES

_NAMES = ('0', '1')
_BASE = Settings(
    data='toy:moons', network='mlp', width=(8,), depth=1, shape=(2,),
    class_names=_NAMES, guidance=1.0, guidance_log_snr=(-3.0, 2.0),
    process='edm', prediction='edm', sigma_min=.02, sigma_max=20.0,
    sampler='ddim', sampling_steps=5)
_COND = {'label': np.arange(6) % 2}
_KEY = jax.random.key(3)


def opened(task, settings, seed):
  """A run of random params, whose outputs are not 0."""
  model = task.build(settings)
  params = jax.jit(model.init, static_argnums=1)(jax.random.key(seed), None)
  rng = np.random.default_rng(seed)
  params = jax.tree.map(lambda x: np.asarray(
      x + rng.normal(0, .3, x.shape), np.float32), params)
  return Run(task, settings, params, 6, **model.functions(params)._asdict())


def judged(**values):
  """A classifier of points of any noise."""
  return opened(classifier.TASK, classifier.Settings(**{
      'data': 'toy:moons', 'width': (8,), 'shape': (2,), 'class_names': _NAMES,
      'shift': 0, 'dropout': 0.0, 'noise': 5.0, **values}), 1)


@pytest.fixture(name='run', scope='module')
def make_run():
  return opened(diffusion.TASK, _BASE, 0)


@pytest.fixture(name='weaker', scope='module')
def make_weaker():
  return opened(diffusion.TASK, dataclasses.replace(
      _BASE, process='vp_linear', prediction='v'), 2)


def path(run):
  """Times [T + 1] and states [T + 1, 6, 2] of a run, along the ODE."""
  draw = run.task.build(run.settings).parts.draw
  return (np.asarray(draw.times(run.params), np.float64),
          np.asarray(draw.trajectory(run.params, _KEY, jnp.arange(6), _COND)))


def check_path(run, plain, guided):
  """Each step is DDIM's, from x_0 of `guided` where guidance is to be."""
  times, states = path(run)
  inside = []
  for t, s, x, got in zip(times, times[1:], states, states[1:]):
    inside.append(-3 <= -2 * math.log(t) <= 2)
    x0 = np.asarray((guided if inside[-1] else plain)(x, np.float32(t)))
    np.testing.assert_allclose(got, s / t * x + (1 - s / t) * x0, rtol=2e-4,
                               atol=2e-4)
  assert {True, False} == set(inside)


@pytest.mark.parametrize('scale', [0.0, 1.0, 3.0])
def test_a_weaker_run_of_another_process_guides(run, weaker, scale):
  """weaker + scale (run - weaker), each at its own scale of x."""
  def guided(x, t):
    alpha = 1 / math.sqrt(1 + float(t)**2)  # of x at unit scale
    there = PROCESSES['vp_linear'].time(-2 * jnp.log(t))
    other = weaker.denoiser(_COND)(x * np.float32(alpha), there)
    return other + scale * (run.denoiser(_COND)(x, t) - other)

  found = guides.by_weaker(run, weaker, scale)
  check_path(found, run.denoiser(_COND), guided)
  if scale == 1:
    np.testing.assert_allclose(
        found.sample(_KEY, (6,), _COND), run.sample(_KEY, (6,), _COND),
        atol=1e-5)


@pytest.mark.parametrize('scale', [0.0, 2.0])
def test_a_classifier_guides_the_model_without_its_condition(run, scale):
  """x_0 of it plus scale sigma^2 times the slope of log p(c | x_t)."""
  judge = judged()
  network = judge.task.build(judge.settings).parts

  def log_prob(x, t):
    told = jnp.concatenate([x / jnp.hypot(1, t), jnp.full(
        (6, 1), jnp.minimum(jnp.log(t), math.log(5)) / 4)], axis=1)
    logits = jax.nn.log_softmax(network.logits(judge.params, told))
    return jnp.sum(logits[np.arange(6), _COND['label']])

  def guided(x, t):
    return run.denoiser()(x, t) + scale * t**2 * jax.grad(log_prob)(x, t)

  found = guides.by_classifier(run, judge, scale)
  check_path(found, run.denoiser(), guided)
  states = path(found)[1]
  np.testing.assert_allclose(found.sample(_KEY, (6,), _COND), states[-1],
                             atol=1e-5)


def test_without_a_class_guides_draw_one_at_random(run):
  found = guides.by_classifier(run, judged(), 1.0)
  assert found.sample(_KEY, (6,)).shape == (6, 2)
  untold = opened(diffusion.TASK, dataclasses.replace(
      _BASE, conditional=False), 0)
  found = guides.by_classifier(untold, judged(), 9.0)
  assert found.sample(_KEY, (6,)).shape == (6, 2)
  both = [found.sample(_KEY, (6,), {'label': np.full(6, c)}) for c in (0, 1)]
  assert np.abs(both[0] - both[1]).max() > 1e-3


def test_never_without_a_condition_the_model_keeps_it():
  """Where label_dropout is 0, it does not know what it is to have none."""
  run = opened(diffusion.TASK, dataclasses.replace(
      _BASE, label_dropout=0.0), 0)
  np.testing.assert_allclose(
      guides.by_classifier(run, judged(), 0.0).sample(_KEY, (6,), _COND),
      run.sample(_KEY, (6,), _COND), atol=1e-5)


def test_a_classifier_says_the_same_on_every_process():
  """Of x at unit scale and noise over signal, up to the most it was told."""
  judge = judged()
  network = judge.task.build(judge.settings)
  log_prob = jax.jit(guides.make_log_prob(network, judge.settings),
                     static_argnums=1)
  unit = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
  label = jnp.asarray(_COND['label'])
  for ratio in (.5, 2.0, 20.0):
    told = noisy_inputs.with_level(unit, jnp.log(min(ratio, 5.0)))
    want = jax.nn.log_softmax(network.parts.logits(judge.params, told))
    want = np.asarray(want)[np.arange(6), label]
    for name in ('edm', 'vp_linear', 'flow_matching', 'sub_vp'):
      p = PROCESSES[name]
      t = p.time(jnp.asarray(-2 * math.log(ratio)))
      alpha, sigma = process.coefficients(p, t, 2)
      x = unit * jnp.hypot(alpha, sigma)
      np.testing.assert_allclose(log_prob(
          judge.params, p, x, t, label), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('call, said', [
    (lambda run: guides.by_weaker(run, run, -1.0), 'guidance: must be'),
    (lambda run: guides.by_weaker(run, run, math.nan), 'guidance: must be'),
    (lambda run: guides.by_classifier(run, run, 1.0),
     'classifier: must hold a run of train_classifier, got a diffusion'),
    (lambda run: guides.by_weaker(run, run._replace(task=vae.TASK), 2.0),
     'weaker: must hold a run of train_diffusion, got a vae'),
    (lambda run: guides.by_weaker(run._replace(task=vae.TASK), run, 2.0),
     'workdir: must hold a run of train_diffusion, got a vae'),
    (lambda run: guides.by_classifier(run, judged(noise=0.0), 1.0),
     'classifier: must have been trained on noisy images'),
    (lambda run: guides.by_classifier(
        run, judged(class_names=('a', 'b')), 1.0),
     'classifier: must be of the 2 classes'),
    (lambda run: guides.by_classifier(run, judged(shape=(3,)), 1.0),
     r'classifier: must be of examples of shape \(2,\), .*got \(3,\)'),
    *((lambda run, v=values: guides.by_weaker(run, run._replace(
        settings=dataclasses.replace(run.settings, **v)), 2.0), said)
      for values, said in (
          ({'shape': (3,)}, r'weaker: must be of examples of shape \(2,\)'),
          ({'class_names': ('a', 'b')}, 'weaker: must be told the 2 classes'),
          ({'conditional': False}, 'weaker: must be told .* one of 0 and 0'),
          ({'value_range': (0.0, 9.0)}, 'weaker: must be of data of the ran'),
      )),
])
def test_runs_that_do_not_fit_are_refused_in_a_line(run, call, said):
  with pytest.raises(ValueError, match=f'^{said}') as error:
    call(run)
  assert '\n' not in str(error.value)
