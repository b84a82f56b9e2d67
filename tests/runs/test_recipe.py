"""What is chosen for images fits them, and the time that there is."""

import time

import jax
import pytest

from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs import measure
from genjax.runs import recipe
from genjax.runs.diffusion_choice import resolve
from genjax.runs.diffusion_choice import within
from genjax.runs.settings import check_settings

SMALL = {'data': 'toy:moons,points=64', 'width': (8,), 'depth': 1,
         'batch_size': 16}


@pytest.mark.parametrize('shape, accelerator', [
    ((8, 8, 1), False), ((9, 8, 3), False), ((16, 16, 1), False),
    ((32, 64, 3), False), ((28, 28, 1), False), ((63, 63, 3), False),
    ((512, 512, 3), False), ((8, 8, 1), True), ((32, 32, 4), True)])
def test_a_recipe_makes_a_network_that_images_of_this_shape_pass(
    shape, accelerator):
  """Nothing is compiled. Of sides that can be halved the coarsest level has
  eight pixels or fewer, unless that takes more than five levels."""
  chosen = recipe.choose(shape, 500, accelerator=accelerator)
  settings = diffusion_settings.choose(chosen, {
      'shape': shape, 'guidance': 1.0})
  check_settings(settings)
  model = diffusion.build(settings)
  jax.eval_shape(lambda key: model.init(key, None), jax.random.key(0))
  factor = 2**(len(settings.width) - 1)
  assert not (shape[0] % factor or shape[1] % factor)
  if shape[0] in (16, 32, 64):
    assert max(shape) // factor <= 8
  assert settings.save_every <= settings.steps


def test_few_images_have_dropout_and_larger_ones_more_noise():
  of = lambda side, num: recipe.choose((side, side, 3), num, accelerator=False)
  assert of(32, 100)['dropout'] > of(32, 10_000)['dropout'] == 0
  assert of(32, 100)['sigma_max'] == 80  # as EDM has it
  assert of(64, 100)['sigma_max'] == 160


@pytest.mark.parametrize('num', [50, 3000])
@pytest.mark.parametrize('chosen', [{}, {'batch_size': 8}, {'scored': 2000}])
def test_samples_and_losses_of_a_checkpoint_are_a_twentieth_of_its_steps(
    num, chosen):
  """In evaluations of the network, of which a step takes four."""
  of = recipe.choose((32, 32, 3), num, accelerator=False, chosen=chosen)
  training = 4 * of['batch_size'] * of['save_every']
  settings = diffusion_settings.Settings()
  drawing = 100 * settings.sampling_steps * 2
  scoring = of['scored'] * recipe.SCORING_STEPS
  assert drawing + scoring + 3 * num / 9 <= .05 * training


def test_the_learning_rate_goes_with_the_optimizer():
  """Muon's for half an hour of images on a CPU, Adam's for the rest."""
  of = lambda side, accelerator=False, **chosen: [recipe.choose(
      (side, side, 3), 500, accelerator=accelerator, chosen=chosen)[name]
      for name in ('optimizer', 'learning_rate')]
  assert of(32) == ['muon', 6e-3]
  assert of(32, optimizer='adam') == ['adam', 1e-3]
  assert of(8) == ['adam', 5e-3]
  assert of(32, True) == ['adam', 4e-4]
  assert of(32, learning_rate=2e-3) == ['muon', 2e-3]


def test_what_is_chosen_wins_over_the_recipe():
  of = lambda **chosen: recipe.choose((32, 32, 3), 500, accelerator=False,
                                      chosen=chosen)
  found = of(width=(8, 8), steps=7)
  assert (found['width'], found['steps']) == ((8, 8), 7)
  assert found['attention_levels'] == ()  # there is no third level
  assert of(width=(8, 8, 24))['head_dim'] == 8  # which divides the last
  assert 'width' not in of(network='dit')


def test_steps_fill_the_time_that_is_left_after_compiling(monkeypatch):
  """By a clock of which a step takes a second and compiling ten."""
  settings, data, _ = resolve('toy', SMALL)
  now, prepare = [0.0], measure.prepare

  def slow(task, settings):
    model, objective, compiled = prepare(task, settings)
    taken = [10.0]

    def step(*args):
      now[0] += taken.pop() if taken else 1.0
      return compiled.step(*args)

    return model, objective, compiled._replace(step=step)

  monkeypatch.setattr(measure, 'prepare', slow)
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
  cost = measure.measure(diffusion.TASK, settings, data.train)
  assert (cost.compiling, cost.step, cost.spent) == (10., 1., 14.)
  # Of 124 s, 14 have gone and 10 will go again; a tenth is for hooks.
  assert measure.steps_within(cost, 124.) == 90
  assert cost.seconds(90) == 10 + 100
  with pytest.raises(ValueError, match=(
      r'minutes: must be 0.64 or more: compiling takes 0.4 of them, got 0.5')):
    measure.steps_within(cost, 30.)


@pytest.mark.parametrize('count', [1, 7, 500])
def test_a_time_holds_whole_calls(count):
  """Of a step of a second: 90 of them, of which a call is no more."""
  settings, _, _ = resolve('toy', {'data': 'toy:moons,points=64',
                                   'steps_per_call': count})
  cost = measure.Cost(0, 1, 10., 1., 14.)
  found = within(124 / 60, settings, cost, {})
  assert found.steps % count == found.save_every % count == 0
  assert found.steps == max(90 // count, 1) * count
