"""The study of data augmentation by its script, whole."""

import json
import shutil

import numpy as np
import pytest

from experiments import augmentation
from genjax.data import embedded
from genjax.data import pipeline
from genjax.reports import augmentation as study_of
from genjax.reports import augmentation_arms
from genjax.runs import classifier
from genjax.runs import vae_settings

pytestmark = pytest.mark.usefixtures('few_dots')

SMALL = ('--per_class=2,3', '--num_seeds=2', '--steps=2', '--vae_steps=2')


def rows_of(workdir):
  return json.loads((workdir / 'report.json').read_text())


@pytest.fixture(scope='module')
def small():
  """Networks and numbers of samples that are soon compiled and run."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(classifier.RECIPES, 'images', {'width': (4,), 'features': 16})
    patch.setitem(vae_settings.RECIPES, 'digits', {
        **vae_settings.RECIPES['digits'], 'width': (16,), 'latents': 2})
    patch.setattr(augmentation_arms, '_BLOCK', 60)
    yield


@pytest.fixture(scope='module')
def study(run, small, tmp_path_factory):
  """An unbroken study: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('study') / 'run'
  return workdir, run(augmentation, f'--workdir={workdir}', *SMALL)


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
                      lambda *settings: dict.fromkeys(study_of.COLORS, arm))
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


def test_study_leaves_rows_means_and_a_figure(study):
  workdir, result = study
  assert result.code == 0 and result.err == ''
  kept = rows_of(workdir)
  assert [(row['seed'], row['per_class']) for row in kept['rows']] == [
      (0, 2), (0, 3), (1, 2), (1, 3)]
  for size, columns in kept['summary'].items():
    for arm in study_of.COLORS:
      values = [row[arm] for row in kept['rows'] if row['per_class'] == int(
          size)]
      assert columns[arm]['value'] == pytest.approx(np.mean(values))
  assert (workdir / 'figures' / 'augmentation.png').stat().st_size > 10_000


def test_a_study_that_was_stopped_goes_on_as_the_unbroken_one(
    run, study, small, tmp_path, monkeypatch):
  workdir = tmp_path / 'run'
  write, count = study_of.write_json, []

  def interrupted(path, value):
    write(path, value)
    count.append(path)
    if len(count) == 3:  # of four results
      raise KeyboardInterrupt

  monkeypatch.setattr(study_of, 'write_json', interrupted)
  result = run(augmentation, f'--workdir={workdir}', *SMALL)
  assert result.code == 130 and 'interrupted' in result.err
  assert len(rows_of(workdir)['rows']) == 3
  monkeypatch.setattr(study_of, 'write_json', write)
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
    ('--per_class=0', ['--per_class', 'whole numbers', '0']),
    ('--per_class=ten', ['--per_class', 'whole numbers', 'ten']),
    ('--per_class=', ['--per_class', 'whole numbers']),
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
