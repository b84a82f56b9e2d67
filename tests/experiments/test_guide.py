"""A sweep of the scale of guidance, and runs that none is of."""

import json

import numpy as np
from PIL import Image
import pytest

from experiments import guide
from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics import comparison
from genjax.reports import guidance_sweep
from genjax.reports.draws import draw
from genjax.reports.judge import judge_of
from genjax.runs import classifier
from genjax.runs import keys
from genjax.runs.open import open_run

pytestmark = pytest.mark.usefixtures('few_dots')

NUM = 140  # a judge of 64 features asks for 130


@pytest.fixture(scope='module')
def workdir(write_run, tmp_path_factory):
  """A run that guides wherever it steps."""
  return write_run(
      tmp_path_factory.mktemp('guide') / 'run', 'digits', network='dit',
      width=(8,), batch_size=8, guidance=3.0, guidance_log_snr=(-40.0, 40.0))


@pytest.fixture(scope='module')
def sweep(run, workdir):
  """(report, output) of scales by two methods, and a classifier trained."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(classifier.RECIPES, 'images', {
        **classifier.RECIPES['images'], 'steps': 2, 'width': (8,)})
    result = run(guide, f'--workdir={workdir}', '--scales=3,1',
                 '--guidance_methods=classifier_free,projected', '--seed=2',
                 f'--num_samples={NUM}')
  assert (result.code, result.err) == (0, '')
  return json.loads((workdir / 'guidance' / 'report.json').read_text()), (
      result.out)


def arms(report):
  return {(row['method'], row['scale']): row for row in report['scores']}


def test_all_scales_are_scored_by_all_methods(sweep, workdir):
  report, out = sweep
  found = arms(report)
  assert list(found) == [(method, scale) for method in (
      'classifier_free', 'projected') for scale in (1., 3.)]
  assert report['own'] == {'method': 'classifier_free', 'scale': 3.}
  for name in ('recognised', 'fd_digits', 'recall'):
    assert found['projected', 1.][name] == found['classifier_free', 1.][name]
    assert report['floor'][name]['low'] <= report['floor'][name]['value']
  distances = {arm: row['fd_digits']['value'] for arm, row in found.items()}
  # One noise: but for the guidance nothing differs.
  assert len(set(distances.values())) == 3
  method, scale = min(distances, key=distances.get)
  assert f'the scale {scale:g} by {method} has the least' in report['said']
  assert report['said'] in out
  with Image.open(workdir / 'guidance' / 'guidance.png') as picture:
    assert picture.size[0] > 2 * picture.size[1]


def test_an_arm_is_the_run_guided_so(sweep, workdir):
  """Of the noise of a seed, and of the classes of held-out images."""
  report, _ = sweep
  run = open_run(str(workdir), settings={
      'guidance': 3., 'guidance_method': 'projected'})
  judge = judge_of(open_run(str(workdir / 'classifier')))
  test = embedded.digits('test').arrays
  label = test['label'][keys.generator(2, 'subset').permutation(297)[:NUM]]
  x = pipeline.to_model_range(draw('run', run, NUM, label, 2))
  row = arms(report)['projected', 3.]
  assert row['recognised']['value'] == pytest.approx(
      np.mean(judge.said(x) == label))
  want = comparison.frechet(*map(judge.features, (
      x, pipeline.to_model_range(test['image']))))
  assert row['fd_digits']['value'] == pytest.approx(want.value, rel=1e-3)
  train = pipeline.to_model_range(embedded.digits('train').arrays['image'])
  assert report['floor']['fd_digits']['value'] == pytest.approx(
      comparison.frechet(*map(judge.features, (
          train, pipeline.to_model_range(test['image'])))).value, rel=1e-3)
  assert report['num_samples'] == report['num_neighbours'] == NUM


def test_the_classifier_kept_in_the_folder_is_taken(
    monkeypatch, digits_run):
  """But where another is named."""
  asked = []
  monkeypatch.setattr(guidance_sweep, 'kept_judge', lambda settings, folder: (
      asked.append(folder), ('kept', None))[1])
  monkeypatch.setattr(guidance_sweep, 'find_judge', lambda *args: args[0])
  run = open_run(str(digits_run))
  take = lambda named: guidance_sweep.judge_of(run, None, named, 'here', print)
  assert (take(None), take('there'), asked) == ('kept', 'there', ['here'])


@pytest.mark.parametrize('args, said', [
    ('--scales=1', ['--scales', 'two or more']),
    ('--scales=', ['--scales', 'numbers']),
    ('--scales=1,nan', ['--scales', 'nan']),
    ('--scales=1,inf', ['--scales', 'inf']),
    ('--scales=1,-2', ['--scales', '-2']),
    ('--scales=1,cat', ['--scales', 'cat']),
    ('--guidance_methods=best', ['--guidance_methods', 'best', 'projected']),
    ('--num_samples=19', ['num_samples', '19']),
    ('--num_samples=40 --classifier={classifier}', ['--num_samples', '40']),
    ('--workdir={toy}', ['--workdir', 'unconditional']),
    ('--workdir={classifier}', ['--workdir', 'a classifier']),
    ('--classifier={toy}', ['--classifier', 'a diffusion'])])
def test_guide_says_what_is_wrong_in_one_line(
    run, files_of, digits_run, toy_run, classifier_run, args, said):
  before = files_of(digits_run)
  at = {'toy': toy_run, 'classifier': classifier_run}
  run(guide, f'--workdir={digits_run}', *args.format(**at).split()
      ).check_refusal('guide', said)
  assert files_of(digits_run) == before
