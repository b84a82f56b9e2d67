"""The study of data augmentation: its choice, its arms, its intervals."""

import numpy as np
import pytest
from scipy import stats

from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics.estimate import Estimate
from genjax.reports import augmentation
from genjax.reports import augmentation_arms
from genjax.reports import image_sets
from genjax.reports.image_sets import Images
from genjax.runs import classifier
from genjax.runs import vae_settings

CLASSIFIER = classifier.Settings(
    width=(4,), features=16, groups=4, dropout=0.0, learning_rate=1e-2,
    steps=80, weight_decay=0.0, warmup=10, label_smoothing=0.0, shift=0,
    batch_size=32, ema_decay=0.9, class_names=tuple('0123456789'))


def numbered(label):
  """Images that are their own positions: x [N, 1, 1, 1] of 0..N-1."""
  x = np.arange(len(label), dtype=np.float32).reshape(-1, 1, 1, 1)
  return Images(x, np.asarray(label))


def few_digits(per_class, seed):
  return augmentation_arms.draw_few(
      image_sets.read(embedded.digits('train'), 1500, 0), per_class, seed)


def test_draw_few_takes_as_many_of_each_class_and_none_twice():
  label = np.random.default_rng(0).integers(0, 3, 90)
  source = numbered(label)
  for seed in range(5):
    few, more = (augmentation_arms.draw_few(source, n, seed) for n in (4, 9))
    places = few.x.ravel().astype(int)
    assert len(set(places)) == 12
    assert np.bincount(few.label).tolist() == [4, 4, 4]
    assert (label[places] == few.label).all()
    assert set(places) <= set(more.x.ravel().astype(int))


def test_draw_few_chooses_each_image_as_often():
  """4 of 20 in a class: over 500 seeds each is chosen Binomial(500, 0.2)."""
  source = numbered(np.arange(40) % 2)
  chosen = np.concatenate([
      augmentation_arms.draw_few(source, 4, seed).x.ravel()
      for seed in range(500)]).astype(int)
  counts = np.bincount(chosen, minlength=40)
  # Without replacement: the sum of squares is 0.8 chi^2, but for 4 / 20 and
  # its correction 20 / 19 of 38 degrees of freedom.
  statistic = np.sum((counts - 100)**2 / 80) * 19 / 20
  assert 1e-3 < stats.chi2(38).cdf(statistic) < 1 - 1e-3


def test_join_with_copies_is_the_law_of_the_real_images():
  real = numbered(np.arange(6) % 3)
  copies = Images(np.tile(real.x, (4, 1, 1, 1)), np.tile(real.label, 4))
  joined = augmentation_arms.join(real, copies)
  assert np.bincount(joined.x.ravel().astype(int)).tolist() == [16] * 6
  assert (joined.label == joined.x.ravel() % 3).all()


def test_join_takes_three_real_images_to_one_that_was_made():
  real, made = numbered([0, 1, 1, 0]), numbered([1, 0])
  joined = augmentation_arms.join(real, made._replace(x=made.x + 10))
  assert joined.x.ravel().tolist() == [0, 1, 2, 3, 0, 1, 10, 11]
  assert joined.label.tolist() == [0, 1, 1, 0, 0, 1, 1, 0]


def test_samples_are_of_the_classes_that_they_are_labelled(monkeypatch):
  """Nearest to the mean of their class, far more often than one in ten."""
  monkeypatch.setattr(augmentation_arms, '_BLOCKS', 2)
  settings = vae_settings.Settings(steps=150, save_every=150,
                                   class_names=tuple('0123456789'))
  few = few_digits(10, 0)
  made = augmentation_arms.make_sampler(settings)(few, 0)
  assert made.x.shape == (1000, 8, 8, 1) and np.abs(made.x).max() <= 1
  assert np.bincount(made.label).tolist() == [100] * 10
  means = np.stack([few.x[few.label == c].mean(0)
                    for c in range(10)])
  assert len(np.unique(made.x, axis=0)) == 1000  # every block is another
  distance = np.sum((made.x[:, None] - means)**2, axis=(2, 3, 4))
  assert np.mean(distance.argmin(1) == made.label) > 0.5


def test_only_the_arm_of_mixup_mixes(monkeypatch):
  mixed = []
  monkeypatch.setattr(augmentation_arms, 'make_trainer', lambda task, settings:
                      mixed.append(settings.mixup))
  monkeypatch.setattr(augmentation_arms, 'make_sampler', lambda settings: None)
  augmentation_arms.make_arms(CLASSIFIER, None)
  alone, arm = mixed
  assert alone == 0 < arm


def test_gains_are_paired_within_a_seed():
  """A constant gain has no width, however much the seeds differ."""
  alone = np.random.default_rng(0).integers(100, 200, 6) / 256
  rows = [{'per_class': 10, 'seed': s, 'alone': a, 'mixup': a + 1 / 64,
           'VAE': a - 1 / 32} for s, a in enumerate(alone)]
  found = augmentation.summarise(rows)[10]
  assert found['mixup - alone'] == (1 / 64,) * 3
  assert found['VAE - alone'] == (-1 / 32,) * 3
  assert found['mixup'].high - found['mixup'].low > 0.1


def test_verdict_is_what_the_intervals_say():
  ends = {10: (0.1, 0.2), 20: (-0.1, 0.2), 50: (-0.2, -0.1), 100: (0, 1)}
  summary = {n: {'VAE - alone': Estimate(sum(e) / 2, *e)}
             for n, e in ends.items()}
  assert augmentation.verdict(summary, 'VAE') == (
      'VAE: better at 10; no difference seen at 20, 100; worse at 50')


@pytest.mark.slow
def test_copies_for_samples_leave_the_accuracy_as_it_is(monkeypatch):
  """In law: the difference within a seed is no more than its noise."""

  def copies(settings):
    del settings
    return lambda images, seed: Images(np.tile(images.x, (8, 1, 1, 1)),
                                       np.tile(images.label, 8))

  monkeypatch.setattr(augmentation_arms, 'make_sampler', copies)
  arms = augmentation_arms.make_arms(CLASSIFIER, None)
  test = pipeline.full_batch(embedded.digits('test'))
  alone, copied = ([np.mean(arms[name](few_digits(3, seed), seed)(test['x'])
                            == test['cond']['label']) for seed in range(8)]
                   for name in ('alone', 'VAE'))
  assert stats.ttest_rel(alone, copied).pvalue > 1e-3
  assert min(alone + copied) > 0.4  # something was learned
