"""Samples of a run are compared with held-out images while it trains."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from genjax.data import named
from genjax.data import sources
from genjax.diffusion import drawing
from genjax.metrics.agreement import agreement
from genjax.metrics.estimate import Estimate
from genjax.reports import diffusion as report
from genjax.reports import scoring
from genjax.reports.judge import untrained_features
from genjax.runs import diffusion
from genjax.runs.diffusion_choice import resolve
from genjax.runs.task import Session

_NUM = 200


def images(num, seed, classes=2):
  """Of a colour that goes with the class, and noise: uint8, labels."""
  rng = np.random.default_rng(seed)
  label = np.sort(rng.integers(0, classes, num))
  noise = rng.integers(0, 100, (num, 4, 4, 3))
  image = 100 * label[:, None, None, None] + noise
  return image.astype(np.uint8), label


def source(num, seed, names=('a', 'b')):
  image, label = images(num, seed)
  return sources.ArraySource(
      {'image': image, **({'label': label} if names else {})}, names)


def session(names=('a', 'b'), **chosen):
  """A run on such images, without a workdir."""
  settings = resolve(None, {'network': 'dit', 'width': (8,), 'depth': 1,
                            'head_dim': 8, 'scored': 150, **chosen})[0]
  settings = settings.__class__(**{
      **vars(settings), 'shape': (4, 4, 3), 'class_names': names,
      'guidance': 1.3 if names else 1.0})
  return Session(settings, diffusion.build(settings), named.Data(
      source(_NUM, 1, names), source(_NUM, 2, names)), '', None)


@pytest.fixture
def drawn(monkeypatch):
  """What is taken for samples, and what each of them was asked for."""
  found = types.SimpleNamespace(x=None, asked=[])

  def sample(draw, params, key, shape, cond, classes):
    assert params == 'averaged'
    found.asked.append((key, shape, cond))
    return found.x[:shape[0]]

  monkeypatch.setattr(scoring.drawing, 'sample', sample)
  return found


def _x(num, seed):
  """In any order."""
  image = np.random.default_rng(0).permutation(images(num, seed)[0])
  return image.astype(np.float32) / 127.5 - 1


def _call(hook, x, drawn):
  drawn.x = x
  return hook.call(types.SimpleNamespace(
      params='raw', averages={'ema': 'averaged'}), 7)


def test_copies_are_told_and_fresh_images_never_are(drawn, caplog):
  """Fresh ones have N(0, 1) for C_T: below -3 once in 740 draws."""
  caplog.set_level('INFO', logger='absl')
  hook, = scoring.hooks(session(()))
  copies = _call(hook, _x(_NUM, 1), drawn)
  assert copies['samples/c_t'] < -3 and copies['samples/authentic'] == 0
  assert 'the model copies' in caplog.messages[-1]
  for seed in range(5):
    fresh = _call(hook, _x(_NUM, 10 + seed), drawn)
    assert abs(fresh['samples/c_t']) < 3.5 and fresh['samples/authentic'] > .2
    assert 'the model copies' not in caplog.messages[-1]
  assert len({str(key) for key, *_ in drawn.asked}) == 1  # one at every step


def test_the_distance_of_fresh_images_is_that_of_training_images(drawn):
  """And grows with what is done to them: held-out images are compared."""
  run = session(())
  image, _ = images(_NUM, 2)
  dark = sources.ArraySource({'image': (image * .8).astype(np.uint8)}, ())
  for test in (run.data.test, dark):
    hook, = scoring.hooks(run._replace(data=run.data._replace(test=test)))
    near, far, farther = (
        _call(hook, (_x(_NUM, 5) + 1) * by - 1, drawn)['samples/frechet']
        for by in ((1, .9, .6) if test is not dark else (.8, .9, 1)))
    assert near < far < farther


def test_samples_have_the_conditions_of_held_out_images(drawn, monkeypatch):
  """In their shares, so that a distance is of images and not of classes."""
  monkeypatch.setattr(scoring.recognition, 'keep_judge', lambda *args: None)
  told = session()
  hook, = scoring.hooks(told)
  _call(hook, _x(_NUM, 1), drawn)
  (_, shape, cond), = drawn.asked
  assert shape == (150,)
  share = images(_NUM, 2)[1].mean()
  # 150 of 200 without replacement, three standard deviations.
  most = 3 * np.sqrt(share * (1 - share) / 150 * 50 / 199)
  assert abs(cond['label'].mean() - share) < most


def test_samples_are_drawn_in_few_steps_without_guidance():
  """The same however a run draws."""
  runs = [session(sampler='heun', churn=4., sampling_steps=50),
          session(sampler='ddim', rho=3., sampling_steps=2)]
  runs[1] = runs[1]._replace(settings=dataclasses.replace(
      runs[1].settings, guidance=1.0))
  params = jax.jit(lambda key: jax.tree.map(  # not 0 in the last layer
      lambda x: x + .1, runs[0].model.init(key, None)))(jax.random.key(0))
  cond, found = {'label': np.array([0, 1])}, []
  for run in runs:
    draw = scoring._make_draw(run)
    assert len(draw.times(params)) == 11
    found.append(drawing.sample(draw, params, jax.random.key(1), (2,), cond, 2))
  np.testing.assert_array_equal(*found)


def test_no_more_images_are_held_than_a_gib_of_them(drawn, monkeypatch):
  """By a limit of 30 images of 48 numbers."""
  read, asked = scoring.image_sets.read, []
  monkeypatch.setattr(scoring.image_sets, 'read', lambda part, most, seed: (
      asked.append(most), read(part, most, seed))[1])
  monkeypatch.setattr(scoring, '_NUMBERS', 30 * 48)
  hook, = scoring.hooks(session(()))
  assert not asked  # a run that is finished needs none
  for _ in range(2):
    _call(hook, _x(_NUM, 1), drawn)
  assert asked == [30, 30]


def test_conditions_are_read_of_the_images_that_are_asked_for(monkeypatch):
  """And of no others: of 200 held out, 20."""
  run, full, read = session(scored=20), scoring.pipeline.full_batch, []
  monkeypatch.setattr(scoring.pipeline, 'full_batch', lambda source: (
      read.append(len(source)), full(source))[1])
  scoring._conditions(run)
  assert read == [20]


def test_nothing_is_drawn_where_nothing_is_held_out_or_asked_for():
  told = session(())
  data = told.data._replace(test=None)
  assert not scoring.hooks(told._replace(data=data))
  assert not scoring.hooks(session((), scored=0))
  assert [len(report.hooks(session((), scored=num))) for num in (0, 20)] == [
      1, 2]


@pytest.mark.parametrize('shape', [(8, 8, 1), (7, 9, 4), (40, 2)])
def test_untrained_features_are_the_same_for_all_data_of_a_shape(shape):
  x = np.random.default_rng(0).normal(size=(30, *shape)).astype(np.float32)
  features, again = (untrained_features(shape)(x) for _ in range(2))
  np.testing.assert_array_equal(features, again)
  assert features.shape == (30, 64)
  assert (features.std(0) > 0).mean() > .5  # some are never above 0


def test_a_sentence_says_what_is_wrong():
  score = Estimate(1., .5, 1.5)
  good = {'frechet': score, 'c_t': score, 'authentic': score}
  asked = np.resize([0, 1], 100)
  heeded, ignored = (agreement(asked, said, np.array([45, 45]),
                               np.array([50, 50]))
                     for said in (asked, np.sort(asked)))
  said = scoring.sentence(100, good, good, heeded)
  assert 'recognised 1 (0.96 to 1), of held-out images 0.9' in said
  assert 'ignored' not in said and 'the model copies' not in said
  assert 'ignored' in scoring.sentence(100, good, good, ignored)
  bad = {**good, 'c_t': Estimate(-9., -11., -7.)}
  assert 'the model copies' in scoring.sentence(100, bad, good, None)
  few = {**good, 'frechet': 'needs 130 images a set, got 20'}
  assert 'needs 130 images' in scoring.sentence(20, few, good, None)


def test_too_few_samples_and_points_are_refused():
  with pytest.raises(ValueError, match='scored: must be 0, or 20 or more'):
    session(scored=5)
  with pytest.raises(ValueError, match='scored: must be 0 for points'):
    diffusion.build(resolve('toy', {'scored': 20})[0])
