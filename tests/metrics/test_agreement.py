"""Agreement of the classes asked for with those that a classifier says."""

import numpy as np
import pytest
from sklearn import metrics

from genjax.metrics.agreement import agreement
from genjax.metrics.estimate import share

_TRIALS = 400


def test_chance_is_that_of_cohens_kappa():
  """Where samples without a class are of a class that is not asked for."""
  rng = np.random.default_rng(0)
  asked, noise = rng.integers(0, 4, (2, 300))
  said = np.where(rng.random(300) < .6, asked, noise // 2)
  found = agreement(asked, said, *np.full((2, 5), 9))
  assert found.recognised.value == metrics.accuracy_score(asked, said)
  np.testing.assert_allclose(
      (found.recognised.value - found.chance) / (1 - found.chance),
      metrics.cohen_kappa_score(asked, said), rtol=1e-12)


@pytest.mark.parametrize('recall', [(.9, .9, .9), (.95, .3, .7)])
@pytest.mark.parametrize('num', [21, 99])
def test_verdicts_are_wrong_as_seldom_as_the_interval_says(recall, num):
  """A sample of class k is given it with probability recall[k], or another."""
  rng = np.random.default_rng(num)
  asked, recall = np.resize(np.arange(3), num), np.array(recall)
  # What is drawn, of a model that heeds what it is asked and of one that has a
  # favourite class.
  favourite = rng.choice(3, (_TRIALS, num), p=(.8, .1, .1))
  wrong = {}
  for name, drawn in (('heeds', np.broadcast_to(asked, favourite.shape)),
                      ('ignores', favourite)):
    right = rng.random(drawn.shape) < recall[drawn]
    said = np.where(right, drawn, (drawn + 1) % 3)
    found = [agreement(asked, row, 400 * recall, np.full(3, 400))
             for row in said]
    wrong[name] = [x.ignored if name == 'heeds' else x.heeded for x in found]
    told = [x.heeded if name == 'heeds' else x.ignored for x in found]
    assert num < 99 or np.mean(told) > .8
  # One end of a 95 % interval, and three standard deviations of the trials.
  most = .025 + 3 * np.sqrt(.025 * .975 / _TRIALS)
  assert max(map(np.mean, wrong.values())) <= most


def test_nothing_is_said_by_a_weak_classifier_or_of_one_class():
  """One that always says the commonest class is right of most real images."""
  asked, few = np.resize(np.arange(3), 300), np.full(3, 9)
  found = agreement(asked, np.zeros(300, int), np.array([9, 0, 0]), few)
  assert found.real.value == pytest.approx(1 / 3) == found.chance
  assert not found.heeded and not found.ignored
  found = agreement(asked * 0, np.arange(300) % 2, few, few)
  assert found.chance is None and not found.heeded and not found.ignored
  # A classifier that says none is right of none.
  found = agreement(asked, asked * 0 - 1, few, few)
  assert found.recognised.value == found.chance == 0 and found.ignored


@pytest.mark.parametrize('asked, said, match', [
    ([], [], 'N >= 1'), ([0, 1], [0], 'N >= 1'),
    ([0, 3], [0, 1], 'below the 3'),
    ([0, -1], [0, 1], 'below the 3'), ([0, 1], [3, 1], 'below the 3')])
def test_labels_that_do_not_fit_are_refused(asked, said, match):
  with pytest.raises(ValueError, match=f'^agreement: .*{match}'):
    agreement(np.array(asked, int), np.array(said, int), np.ones(3),
              np.ones(3))


def test_classes_of_which_there_is_no_real_image_are_left_out():
  """Of the others alone it is told how often they are recognised."""
  asked = np.resize(np.arange(3), 300)
  found = agreement(asked, asked, np.array([8, 9, 0]), np.array([10, 10, 0]))
  assert found.real.value == pytest.approx(.85) and found.heeded
  none = agreement(asked, np.zeros(300, int), np.zeros(3), np.zeros(3))
  assert np.isnan(none.real.value) and not (none.ignored or none.hidden)


def test_of_one_class_real_images_are_an_ordinary_share():
  found = agreement(np.zeros(30, int), np.zeros(30, int), np.array([32, 0]),
                    np.array([40, 7]))
  np.testing.assert_allclose(found.real, share(np.arange(40) < 32))


@pytest.mark.parametrize('count', [(40, 40), (10, 160)])
def test_classes_that_do_not_show_are_taken_to_show_as_seldom_as_the_interval(
    count):
  """Of a classifier that says either class of any image, held out or drawn."""
  rng, asked = np.random.default_rng(0), np.arange(99) % 2
  shows, hidden = [], []
  for _ in range(_TRIALS):
    right = rng.binomial(count, (.7, .3))
    said = (rng.random(99) < .3).astype(int)
    found = agreement(asked, said, right, np.array(count))
    shows.append(found.real.low > found.chance)
    hidden.append(found.hidden)
  # One end of a 95 % interval, and three standard deviations of the trials.
  assert np.mean(shows) <= .025 + 3 * np.sqrt(.025 * .975 / _TRIALS)
  assert np.mean(hidden) > .8
  found = agreement(asked, said, .9 * np.array(count), np.array(count))
  assert not found.hidden
