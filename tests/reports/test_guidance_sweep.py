"""Which scale is said to be the best, of numbers that are known."""

import json
import types

import numpy as np
import pytest

from genjax.data import named
from genjax.data import sources
from genjax.metrics.estimate import Estimate
from genjax.reports import guidance_sweep
from genjax.reports.guidance_sweep import Arm
from genjax.reports.judge import Judge
from genjax.runs import task
from genjax.runs.diffusion_settings import Settings
from genjax.viz import guidance as viz
from tests.figures import ink

FREE, PROJECTED = 'classifier_free', 'projected'


def row(distance, recognised=.9, reach=.5):
  score = distance if isinstance(distance, str) else Estimate(
      distance, distance - reach, distance + reach)
  return {'recognised': Estimate(recognised, .8, 1.), 'fd_x': score,
          'recall': Estimate(distance / 10 if reach < 1 else .5, 0., 1.)
          if not isinstance(distance, str) else 'too few'}


def said(own, **distances):
  found = {Arm(name[0] == 'p' and PROJECTED or FREE, float(name[1:])): row(x)
           for name, x in distances.items()}
  return guidance_sweep.said(found, row(.25), own, 'fd_x')


def test_the_least_is_said_and_who_is_near_it():
  line = said(Arm(FREE, 3.), c1=2., c2=1., c3=1.4, c4=1.6)
  assert line.startswith(
      'of 4 tried, the scale 2 has the least Frechet distance, 1 (0.5 to 1.5); '
      "within its interval lie 3; the run's own, 3, lies within: ")
  assert ('distance 1.4 (0.9 to 1.9), that of least distance 1 and real images '
          '0.25; recall 0.14' in line)
  outside = said(Arm(FREE, 1.), c1=2., c2=1.)
  assert ("lies no other; the run's own, 1, lies outside: recognised 0.9"
          in outside)


def test_the_own_scale_may_be_the_least():
  line = said(Arm(FREE, 2.), c1=2., c2=1.)
  assert "the run's own, 2, has it: " in line
  assert 'distance 1 (0.5 to 1.5), real images 0.25' in line


def test_methods_are_named_where_there_are_many():
  line = said(Arm(FREE, 1.), c1=1.4, c2=1.2, p1=1.4, p2=1., p3=1.1)
  assert 'the scale 2 by projected has the least' in line
  assert 'lie 1 and 2 by classifier_free, 1 and 3 by projected; ' in line
  assert "the run's own, 1 by classifier_free, lies within" in line


@pytest.mark.parametrize('distance', ['needs more', float('nan')])
def test_a_distance_that_is_none_is_never_the_least(distance):
  line = said(Arm(FREE, 1.), c1=distance, c2=9.)
  assert line.startswith('of 2 tried, the scale 2 has the least')
  assert "the run's own, 1, lies outside" in line
  assert said(Arm(FREE, 1.), c1=distance).startswith(
      "no scale has a Frechet distance; the run's own, 1: recognised 0.9")


def opened(**chosen):
  return types.SimpleNamespace(settings=Settings(
      class_names=('a', 'b'), **chosen), task=types.SimpleNamespace(
          kind='diffusion'))


def test_the_own_guidance_is_one_of_those_asked_for():
  run = opened(guidance=1.5)
  assert guidance_sweep.arms_of(run, [], [2., 1.]) == (
      (FREE, 1.), (FREE, 1.5), (FREE, 2.))
  assert guidance_sweep.arms_of(run, [PROJECTED], [1., 2.]) == (
      (PROJECTED, 1.), (PROJECTED, 1.5), (PROJECTED, 2.), (FREE, 1.5))
  own = opened(guidance=2., guidance_method=PROJECTED)
  assert guidance_sweep.arms_of(own, [], [1., 2.]) == (
      (PROJECTED, 1.), (PROJECTED, 2.))


@pytest.mark.parametrize('scales', [
    [1.], [], [1., 1.], [-1., 2.], [1., float('nan')], [1., float('inf')],
    [1., 1001.]])
def test_scales_that_are_none_are_refused(scales):
  with pytest.raises(ValueError, match='^scales: must be two or more'):
    guidance_sweep.arms_of(opened(), [], scales)
  with pytest.raises(ValueError, match='^guidance_methods: .*zero_star'):
    guidance_sweep.arms_of(opened(), ['best'], [1., 2.])


@pytest.mark.parametrize('chosen, must', [
    ({'conditional': False}, 'classes'), ({'shape': (2,)}, 'images')])
def test_runs_that_no_sweep_is_of_are_refused(chosen, must):
  guidance_sweep.check_run(opened())
  with pytest.raises(ValueError, match=f'^workdir: must be a run .*{must}'):
    guidance_sweep.check_run(opened(**chosen))


def images(num):
  """Of two classes, of which one is brighter, and a number beside each."""
  label = np.arange(num) % 3 // 2
  noise = np.random.default_rng(num).integers(0, 99, (num, 8, 8, 1))
  return sources.ArraySource({
      'image': (noise + 99 * label[:, None, None, None]).astype(np.uint8),
      'label': label, 'vector': np.linspace(0, 1, num)[:, None]}, ('a', 'b'),
                             ('size',))


JUDGE = Judge(lambda x: x[:, :2, :2].reshape(len(x), 4),
              lambda x: (x.mean((1, 2, 3)) > -.3).astype(int), None, 'x')


@pytest.fixture
def drawn(monkeypatch):
  """(scale, method, labels, seed, numbers) of each draw, of such images."""
  asked = []

  def draw(where, run, num, label, seed, vector):
    asked.append((run.settings.guidance, run.settings.guidance_method,
                  label, seed, vector))
    assert num == len(label)
    noise = np.random.default_rng(seed).integers(0, 99, (num, 8, 8, 1))
    return (noise + 99 * label[:, None, None, None]).astype(np.uint8)

  monkeypatch.setattr(guidance_sweep, 'draw', draw)
  return asked


def sweep(folder, num=50, test=60):
  run = task.Run(types.SimpleNamespace(build=lambda settings: (
      types.SimpleNamespace(functions=lambda params: task.Functions()))),
                 Settings(class_names=('a', 'b'), vector_names=('size',)),
                 None, 7, **task.Functions()._asdict())
  data = named.Data(images(90), test and images(test))
  guidance_sweep.report(run, data, JUDGE, [
      Arm(FREE, 1.15), Arm(PROJECTED, 2.)], str(folder), num_samples=num,
                        seed=3)
  return json.loads((folder / 'report.json').read_text())


def test_conditions_are_those_of_held_out_images(drawn, tmp_path):
  """Of the same for every arm, and each as often as another."""
  report = sweep(tmp_path, num=120)
  one, two = drawn
  assert (one[:2], two[:2]) == ((1.15, FREE), (2., PROJECTED))
  held_out = images(60).arrays
  for name, x in (('label', one[2]), ('vector', one[4])):
    order = np.lexsort((one[2], one[4][:, 0]))
    np.testing.assert_allclose(x[order], held_out[name].repeat(2, 0), atol=1e-6)
  for a, b in zip(one[2:], two[2:]):
    np.testing.assert_array_equal(a, b)
  assert one[3] == report['seed'] == 3
  assert report['floor']['recognised']['value'] == 1
  assert [row['recognised']['value'] for row in report['scores']] == [1, 1]
  assert report['num_neighbours'] == report['num_held_out'] == 60


@pytest.mark.parametrize('sizes, must', [
    ({'num': 19}, '^num_samples: must be 20'), ({'test': 19}, '^workdir: held'),
    ({'test': None}, '^workdir: .*held out')])
def test_too_few_images_are_refused(drawn, tmp_path, sizes, must):
  with pytest.raises(ValueError, match=must):
    sweep(tmp_path, **sizes)
  assert not drawn and not list(tmp_path.iterdir())


def test_a_figure_shows_lines_the_floor_and_the_own_scale(tmp_path):
  path = tmp_path / 'x.png'
  score = (.5, .4, .6)
  full = viz.Measure('x', {FREE: [(1., score), (2., score)],
                           PROJECTED: [(1., score), (2., score)]},
                     (.3, .2, .4))
  viz.save_guidance(str(path), [full], 1.5)
  for color in ('#2166ac', '#4d9221', '#d6604d', '#666666'):
    assert ink(path, color) > 2e-3, color
  one = {FREE: [(1., (float('nan'),) * 3), (2., score)]}
  viz.save_guidance(str(path), [full._replace(lines=one)] * 3, 1.5)
  assert ink(path, '#4d9221') < 1e-3
