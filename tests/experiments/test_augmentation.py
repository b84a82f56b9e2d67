"""The study of data augmentation: its choice, its arms, its intervals."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from experiments import augmentation
from experiments import augmentation_arms
from experiments import classifier_run
from experiments import common
from experiments import image_data
from experiments import train_classifier
from experiments.image_data import Images
from genjax.data import embedded
from genjax.data import pipeline
from genjax.data import sources
from genjax.runs import vae_settings

CLASSIFIER = dict(
    task='classification', extractor='resnet', width=[4], features=16,
    groups=4, dropout=0.0, num_classes=10, learning_rate=1e-2, steps=80,
    b2=0.99, weight_decay=0.0, warmup=10, label_smoothing=0.0, shift=0,
    batch_size=32, ema_decay=0.9, class_names=list('0123456789'))
SMALL = ('--per_class=2,3', '--num_seeds=2', '--steps=2', '--vae_steps=2')


def numbered(label):
  """Images that are their own positions: x [N, 1, 1, 1] of 0..N-1."""
  x = np.arange(len(label), dtype=np.float32).reshape(-1, 1, 1, 1)
  return Images(x, np.asarray(label))


def few_digits(per_class, seed):
  return augmentation_arms.draw_few(
      image_data.read(embedded.digits('train'), 1500, 0), per_class, seed)


def rows_of(workdir):
  return json.loads((workdir / 'augmentation.json').read_text())


@pytest.fixture(scope='module')
def small():
  """Networks and numbers of samples that are soon compiled and run."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(train_classifier, '_IMAGES', {
        **train_classifier._IMAGES, 'width': [4], 'features': 16})
    patch.setitem(vae_settings.RECIPES, 'digits', {
        **vae_settings.RECIPES['digits'], 'width': (16,), 'latents': 2})
    patch.setattr(augmentation_arms, '_BLOCK', 60)
    yield


@pytest.fixture(scope='module')
def study(run, small, tmp_path_factory):
  """An unbroken study: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('study') / 'run'
  return workdir, run(augmentation, f'--workdir={workdir}', *SMALL)


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


def test_the_few_are_training_digits_and_the_judge_is_the_test_set(
    run, tmp_path, monkeypatch):
  """Whatever is trained gets the few alone, and never a held-out digit."""
  given, judged = [], []

  def arm(images, seed):
    given.append((seed, images))

    def classifier(x):
      judged.append(x)
      return np.zeros(len(x), int)

    return classifier

  monkeypatch.setattr(augmentation_arms, 'make_arms',
                      lambda *settings: dict.fromkeys(augmentation.COLORS, arm))
  result = run(augmentation, f'--workdir={tmp_path}/run', '--per_class=5,2',
               '--num_seeds=2', '--seed=3')
  assert result.code == 0, result.err
  train, test = (embedded.digits(split).arrays for split in ('train', 'test'))
  seen = {x.tobytes() for x in train['image']}
  assert [(seed, len(images.x)) for seed, images in given] == [
      (s, n) for s in (3, 4) for n in (20, 50) for _ in range(3)]
  for _, images in given:
    assert {x.tobytes() for x in pipeline.to_uint8(images.x)} <= seen
  for x in judged:
    assert np.array_equal(pipeline.to_uint8(x), test['image'])
  # Those who say 0 are right on the zeros; arms that agree differ by nothing.
  zeros = float(np.mean(test['label'] == 0))
  summary = rows_of(tmp_path / 'run')['summary']
  assert summary['2']['VAE'] == dict.fromkeys(('value', 'low', 'high'), zeros)
  assert summary['5']['mixup - alone']['value'] == 0
  assert 'VAE: no difference seen at 2, 5' in result.out


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
  settings = vae_settings.with_facts(
      vae_settings.choose({'steps': 150}),
      sources.describe(embedded.digits('train')))
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
  make_loss = classifier_run.make_loss

  def recorded(settings):
    mixed.append(settings['mixup'])
    return make_loss(settings)

  monkeypatch.setattr(classifier_run, 'make_loss', recorded)
  monkeypatch.setattr(augmentation_arms, 'make_sampler', lambda settings: None)
  augmentation_arms.make_arms(CLASSIFIER, {})
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
  summary = {n: {'VAE - alone': augmentation.Estimate(sum(e) / 2, *e)}
             for n, e in ends.items()}
  assert augmentation.verdict(summary, 'VAE') == (
      'VAE: better at 10; no difference seen at 20, 100; worse at 50')


def test_study_leaves_rows_means_and_a_figure(study):
  workdir, result = study
  assert result.code == 0 and result.err == ''
  kept = rows_of(workdir)
  assert [(row['seed'], row['per_class']) for row in kept['rows']] == [
      (0, 2), (0, 3), (1, 2), (1, 3)]
  for size, columns in kept['summary'].items():
    for arm in augmentation.COLORS:
      values = [row[arm] for row in kept['rows'] if row['per_class'] == int(
          size)]
      assert columns[arm]['value'] == pytest.approx(np.mean(values))
  assert (workdir / 'figures' / 'augmentation.png').stat().st_size > 10_000


def test_a_study_that_was_stopped_goes_on_as_the_unbroken_one(
    run, study, small, tmp_path, monkeypatch):
  workdir = tmp_path / 'run'
  write, count = common.write_json, []

  def interrupted(path, value):
    write(path, value)
    count.append(path)
    if len(count) == 4:  # flags.json, and three of four results
      raise KeyboardInterrupt

  monkeypatch.setattr(common, 'write_json', interrupted)
  result = run(augmentation, f'--workdir={workdir}', *SMALL)
  assert result.code == 130 and 'interrupted' in result.err
  assert len(rows_of(workdir)['rows']) == 3
  monkeypatch.setattr(common, 'write_json', write)
  result = run(augmentation, f'--workdir={workdir}', *SMALL)
  assert result.code == 0 and result.out.count('seed 0') == 0
  assert rows_of(workdir) == rows_of(study[0])


def test_other_flags_in_a_begun_workdir_are_refused(run, study, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(study[0], workdir)
  before = rows_of(workdir)
  result = run(augmentation, f'--workdir={workdir}', *SMALL, '--seed=1')
  assert result.code == 1 and result.err.count('\n') == 1
  assert '--workdir' in result.err and 'seed=0' in result.err
  assert rows_of(workdir) == before


@pytest.mark.parametrize('words, said', [
    ('--per_class=0', ['--per_class', '10,20', '0']),
    ('--per_class=ten', ['--per_class', '10,20', 'ten']),
    ('--per_class=', ['--per_class', '10,20']),
    ('--per_class=10,1000', ['--per_class', 'smallest class', '1000']),
    ('--data=toy:moons', ['--data', 'images']),
    ('--num_seeds=1', ['num_seeds', '1']),
    ('--vae_steps=0', ['vae_steps', '0']),
])
def test_a_wrong_flag_is_one_line(run, tmp_path, words, said):
  result = run(augmentation, f'--workdir={tmp_path}/run', words)
  assert result.code == 1 and result.err.count('\n') == 1
  for word in said:
    assert word in result.err
  assert not (tmp_path / 'run').exists()


def test_copies_for_samples_leave_the_accuracy_as_it_is(monkeypatch):
  """In law: the difference within a seed is no more than its noise."""

  def copies(settings):
    del settings
    return lambda images, seed: Images(np.tile(images.x, (8, 1, 1, 1)),
                                       np.tile(images.label, 8))

  monkeypatch.setattr(augmentation_arms, 'make_sampler', copies)
  arms = augmentation_arms.make_arms(CLASSIFIER, {})
  test = pipeline.full_batch(embedded.digits('test'))
  alone, copied = ([np.mean(arms[name](few_digits(3, seed), seed)(test['x'])
                            == test['cond']['label']) for seed in range(8)]
                   for name in ('alone', 'VAE'))
  assert stats.ttest_rel(alone, copied).pvalue > 1e-3
  assert min(alone + copied) > 0.4  # something was learned
