"""Networks that compute in bfloat16: their products do, and nothing else."""

import functools

import jax
from jax.extend import core
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.data import pipeline
from genjax.runs import classifier
from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs import fit
from genjax.runs import recipe
from genjax.runs import vae
from genjax.training.state import init_state
from genjax.training.step import make_step

DIGITS = dict(data='digits', class_names=tuple('0123456789'), batch_size=16)
TOY = dict(data='toy:moons,points=64', network='mlp', width=(8,), depth=1,
           shape=(2,), class_names=('0', '1'), guidance=1.0, batch_size=16,
           sampling_steps=4)
KINDS = {
    'unet': (diffusion.TASK, dict(DIGITS, guidance=1.0, width=(8,))),
    'mp_unet': (diffusion.TASK, dict(DIGITS, guidance=1.0, width=(8,),
                                     network='mp_unet')),
    'mlp of a vae': (vae.TASK, dict(DIGITS, width=(8,), latents=3)),
    'conv of a vae': (vae.TASK, dict(DIGITS, width=(8,), latents=3,
                                     network='conv')),
    'resnet': (classifier.TASK, dict(DIGITS, width=(8,), features=4)),
    'perceptron': (classifier.TASK, dict(
        data='toy:moons,points=64', shape=(2,), class_names=('0', '1'),
        shift=0, width=(8,), batch_size=16)),
}
PRODUCTS = ('dot_general', 'conv_general_dilated')


def _products(jaxpr):
  """(number in bfloat16, number) of the products in a program."""
  narrow = total = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name in PRODUCTS:
      total += 1
      narrow += all(x.aval.dtype == jnp.bfloat16 for x in equation.invars)
    for inner in core.jaxprs_in_params(equation.params):
      counts = _products(inner)
      narrow, total = narrow + counts[0], total + counts[1]
  return narrow, total


@functools.cache
def _data(name):
  return named.open_data(name)


@pytest.mark.parametrize('name', KINDS)
def test_products_alone_are_in_the_dtype(name):
  """Those of hidden layers: the last, the statistics of norms, params,
  averages, moments and metrics are float32."""
  task, chosen = KINDS[name]
  settings = task.Settings(**chosen, dtype='bfloat16')
  model = task.build(settings)
  objective = task.loss(settings, model)
  batch = pipeline.batch_at(_data(settings.data).train, 16, 0, seed=0)
  state = jax.eval_shape(lambda: init_state(
      model.init(jax.random.key(0), batch), objective.tx, model.averages))
  step = make_step(objective.loss_fn, objective.tx, averages=model.averages)
  program, shapes = jax.make_jaxpr(step, return_shape=True)(
      state, jax.random.key(0), batch)
  narrow, total = _products(program.jaxpr)
  # Of one hidden layer and one output layer five products are taken, two of
  # them by the first: its own, and the gradient of its kernel.
  assert 0.3 < narrow / total < 1
  assert {x.dtype for x in jax.tree.leaves((state, shapes))} == {
      jnp.dtype('f4'), jnp.dtype('i4')}


def _five_seeds(settings, source, num_samples):
  """Of each seed the state after training on one device, and its samples."""
  task = diffusion.TASK._replace(loss=lambda settings, model: diffusion.loss(
      settings, model)._replace(devices=1))
  train = fit.make_trainer(task, settings)
  model = task.build(settings)
  for seed in range(5):
    state = train(jax.random.key(seed), source, seed)
    yield state, [
        model.functions(params).sample(jax.random.key(seed), (num_samples,))
        for params in (state.params, state.averages['ema'])]


def _is_sound(state, samples):
  """No step was left out, and what there is is float32 and finite."""
  return state.skipped == 0 and all(
      x.dtype == np.float32 and np.isfinite(x).all() for x in jax.tree.leaves(
          (state.params, state.averages, samples)))


def test_five_seeds_at_three_times_the_rate_stay_finite():
  settings = diffusion_settings.Settings(
      **TOY, dtype='bfloat16', steps=100, warmup=10,
      learning_rate=3 * diffusion_settings.RECIPES['toy']['learning_rate'])
  found = [_is_sound(*one) for one in _five_seeds(
      settings, _data(settings.data).train, 100)]
  assert found == [True] * 5


@pytest.mark.slow
def test_own_images_at_three_times_the_rate_of_their_recipe_stay_finite():
  """By Muon, of photographs: what --preset=auto takes on a CPU."""
  source = embedded.patches(200, 16)
  data = named.Data(source, None)
  chosen = recipe.choose((16, 16, 3), len(source), accelerator=False)
  assert chosen['optimizer'] == 'muon'
  settings = diffusion_settings.with_facts(diffusion_settings.choose(chosen, {
      'data': 'npy:gone', 'guidance': 1.0, 'dtype': 'bfloat16', 'steps': 30,
      'warmup': 5, 'sampling_steps': 4,
      'learning_rate': 3 * chosen['learning_rate']}), data)
  found = [_is_sound(*one) for one in _five_seeds(settings, source, 16)]
  assert found == [True] * 5
