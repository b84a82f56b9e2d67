"""Scores of sets of images against what they are known to be."""

import functools

import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics import comparison


def flat(x):
  return pipeline.to_model_range(x).reshape(len(x), -1)


def judged(image, label, said=None):
  """Digits of 16 pixels, with 16 others for features: quick to compare."""
  x = flat(image)
  return comparison.Judged(x[:, 2::4], label, x[:, 3::4],
                         label if said is None else said)


@pytest.fixture(scope='module')
def real():
  train, test = (embedded.digits(s).arrays for s in ('train', 'test'))
  return [judged(a['image'], a['label']) for a in (train, test)]


@pytest.fixture(scope='module')
def scores(real):
  """Of real training images that were not trained on, and of noise."""
  train, test = real
  fresh = judged(*(a[:700] for a in embedded.digits('train').arrays.values()))
  rest = comparison.Judged(*(a[700:] for a in train))
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
  samples = {
      'fresh': fresh, 'copies': comparison.Judged(*(a[:300] for a in rest)),
      'noise': judged(noise, np.zeros(300, int), np.arange(300) % 2)}
  return {name: comparison.compare(s, rest, test, 'digits')
          for name, s in samples.items()}


def value(scores, name, column=0):
  return scores[name][column].value


def test_comparison_of_real_images_is_near_the_floor(scores):
  """Both are real images unseen: within the intervals of both, overlapping."""
  found = scores['fresh']
  assert all(not isinstance(s, str) for pair in found.values() for s in pair)
  for name, (samples, floor) in found.items():
    assert samples.low <= floor.high and floor.low <= samples.high, name


def test_comparison_sees_copies_and_noise(scores):
  copies, noise = scores['copies'], scores['noise']
  assert value(copies, 'nn_ratio_pixels') == pytest.approx(0, abs=1e-6)
  assert value(copies, 'nn_ratio_pixels', 1) == 1
  assert copies['c_t_pixels'][0].high < -5
  assert value(copies, 'c_t_pixels', 1) == 0
  assert value(copies, 'authentic_pixels') == 0 < value(
      copies, 'authentic_pixels', 1)
  for name in ('fd_digits', 'kid_digits', 'fd_pixels', 'nn_ratio_pixels'):
    samples, floor = noise[name]
    assert samples.low > floor.high, name
  for name in ('precision', 'recall', 'coverage'):
    samples, floor = noise[name]
    assert samples.high < floor.low, name
  # Half of them are said to be what was meant; the real ones all are.
  assert value(noise, 'recognised') == 0.5
  assert value(noise, 'recognised', 1) == 1


def test_the_floor_of_recognition_is_of_the_classes_of_the_samples(real):
  """Of held-out images that are recognised in one class and not in others."""
  train, test = real
  half = test._replace(said=np.where(test.label == 3, 3, -1))
  for chosen in ([3], [5], [3, 5, 5, 5]):
    label = np.resize(chosen, len(test.label))
    floor = comparison.recognition(half, label)
    assert floor.value == pytest.approx((label == 3).mean())
  samples = test._replace(label=label)
  found = comparison.compare(samples, train, half, 'digits')
  assert found['recognised'][1] == floor
  none = test._replace(label=np.zeros(0, int))
  floor = comparison.compare(none, train, half, 'digits')['recognised'][1]
  assert floor.value == pytest.approx((test.label == 3).mean())


def test_comparison_of_test_images_finds_them_all(real):
  """Each is its own nearest image, at a distance of zero."""
  train, test = real
  found = comparison.compare(test, train, test, 'digits')
  for name in ('precision', 'recall', 'coverage', 'nn_ratio_pixels'):
    assert value(found, name) == 1


@pytest.mark.parametrize('num, numbers', [
    (1, set()), (4, {'kid_digits', 'nn_ratio_pixels', 'authentic_pixels'}),
    (12, {'kid_digits', 'nn_ratio_pixels', 'authentic_pixels', 'precision',
          'recall', 'density', 'coverage'})])
def test_comparison_says_where_samples_are_too_few(real, num, numbers):
  train, test = real
  few = comparison.Judged(*(a[:num] for a in test))._replace(
      label=np.zeros(0, int))
  found = {name: pair[0] for name, pair
           in comparison.compare(few, train, test, 'digits').items()}
  assert found.pop('recognised') == 'needs samples with labels'
  for name, score in found.items():
    if name in numbers:
      assert np.all(np.isfinite(score)), name
    else:
      assert score.startswith('needs ') and score.endswith(f'got {num}'), name
  assert found['fd_pixels'] == f'needs 34 images a set, got {num}'


def test_comparison_without_a_classifier_still_looks_at_pixels(real):
  blind = [x._replace(features=None, said=None) for x in real]
  found = comparison.compare(blind[1], *blind, 'x')
  known = {name for name, pair in found.items()
           if not any(isinstance(s, str) for s in pair)}
  assert known == {'fd_pixels', 'nn_ratio_pixels', 'c_t_pixels',
                   'authentic_pixels'}
  assert 'classifier' in found['recognised'][0]


# How many images of 16 pixels a set each metric needs.
LEAST = {'fd_digits': 34, 'fd_pixels': 34, 'kid_digits': 4, 'precision': 12,
         'recall': 12, 'density': 12, 'coverage': 12, 'nn_ratio_pixels': 4,
         'c_t_pixels': 20, 'authentic_pixels': 2}


@functools.cache
def compared(short, num):
  """The scores where one of samples, train and test has so few images."""
  arrays = embedded.digits('train').arrays.values()
  sets = {name: judged(*(a[100 * i:100 * (i + 1)] for a in arrays))
          for i, name in enumerate(('samples', 'train', 'test'))}
  sets[short] = comparison.Judged(*(a[:num] for a in sets[short]))
  return comparison.compare(*sets.values(), 'digits')


# The distance to the nearest training image needs but one of these.
@pytest.mark.parametrize('name, short', [
    (name, short) for name in LEAST for short in ('samples', 'train', 'test')
    if (name, short) != ('nn_ratio_pixels', 'train')])
def test_a_metric_says_how_many_images_it_needs_and_needs_no_more(name, short):
  """Of whichever set is too small; one image less is refused."""
  few, enough = (compared(short, LEAST[name] - less)[name] for less in (1, 0))
  # The floor, of train against test, does not look at samples; whether samples
  # are authentic is asked of train alone.
  columns = {'samples': [0], 'train': [1], 'test': (
      [1] if name == 'authentic_pixels' else [0, 1])}[short]
  for column in columns:
    assert few[column] == (f'needs {LEAST[name]} images a set, got '
                           f'{LEAST[name] - 1}')
    assert np.all(np.isfinite(enough[column]))


def test_every_metric_is_in_the_table(scores):
  assert {*LEAST, 'recognised'} == scores['fresh'].keys()
