"""Judges of images by the runs of classifiers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.reports import judge as judges
from genjax.runs import classifier
from genjax.runs.fit import keep_run

SETTINGS = classifier.Settings(width=(4,), features=3,
                               class_names=tuple('0123456789'))
DIGITS = named.Data(embedded.digits('train'), embedded.digits('test'))


def write(workdir, settings, head=None):
  """A run of random weights, or with another bias of the head."""
  params = jax.jit(classifier.build(settings).init)(jax.random.key(0), None)
  if head is not None:
    params['head']['bias'] = jnp.asarray(head, jnp.float32)
  keep_run(classifier.TASK, settings, params, str(workdir))
  return str(workdir)


def test_a_judge_says_the_likeliest_class(tmp_path):
  """By a bias that decides alone; where it is NaN, none."""
  x = pipeline.full_batch(sources.subset(DIGITS.test, np.arange(7)))['x']
  bias = np.where(np.arange(10) == 4, 1e6, 0)
  for name, head, said in (('four', bias, 4), ('none', bias * np.nan, -1)):
    judge = judges.open_judge(write(tmp_path / name, SETTINGS, head),
                              DIGITS.description)
    assert judge.features(x).shape == (7, 3)
    assert judge.said(x).tolist() == [said] * 7
    assert judge.settings == SETTINGS


@pytest.mark.parametrize('others, said', [
    ({'shape': (8, 8, 3)}, 'for 10 classes of shape (8, 8, 3)'),
    ({'class_names': ('a', 'b')}, 'for 2 classes of shape (8, 8, 1)'),
    ({'task': 'regression', 'shape': (2,), 'width': (), 'class_names': ()},
     'for 0 classes of shape (2,)'),
    (None, 'must be the workdir of train_classifier'),
])
def test_a_judge_of_other_images_is_refused(tmp_path, others, said):
  workdir = str(tmp_path / 'none') if others is None else write(
      tmp_path / 'run', classifier.Settings(**{
          'width': (4,), 'class_names': tuple('0123456789'), **others}))
  with pytest.raises(ValueError, match=f'^classifier: .*{re.escape(said)}'):
    judges.find_judge(workdir, DIGITS, {}, str(tmp_path), print)


def test_a_judge_is_trained_once(tmp_path):
  """The second time it is found; trained anew, it is the same."""
  told = []
  first, again = (
      judges.find_judge(None, DIGITS, {'steps': 1, 'width': (4,)},
                        str(tmp_path), told.append) for _ in range(2))
  assert first.extractor == again.extractor
  assert told == ['no classifier given: taking one trained here, in '
                  f'{tmp_path}/classifier'] * 2
  assert judges.retrain(first, DIGITS).extractor == first.extractor
  half = DIGITS._replace(train=sources.subset(DIGITS.train, np.arange(750)))
  assert judges.retrain(first, half).extractor != first.extractor
