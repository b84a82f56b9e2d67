"""Scores of samples against what they are known to be, and wrong samples."""

import io
import json
import os
import zipfile

import numpy as np
from PIL import Image
import pytest

from experiments import evaluate
from genjax.data import embedded
from genjax.data import named
from genjax.data import sample_files
from genjax.data import sources
from genjax.reports import evaluation
from genjax.reports.judge import Judge
from genjax.runs import classifier

pytestmark = pytest.mark.usefixtures('few_dots')


def write_npz(path, image, label=None):
  np.savez(path, *([image] if label is None else [image, label]))
  return path


def write_folder(path, images, **options):
  for name, image in images.items():
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file, **options)
  return path


GREY = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
TURNED = Image.Exif()
TURNED[0x0112] = 3  # upside down
IMAGES = np.stack([GREY[..., None]] * 3)


def write_raw(path, content):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('arr_0.npy', content)


def write_header(path, shape, content=b'', dtype='|u1'):
  """An .npz whose arr_0 says that it is of `shape`, whatever follows."""
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(header, {
      'shape': shape, 'fortran_order': False, 'descr': dtype})
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('arr_0.npy', header.getvalue() + content)


# (what writes the samples at a path, the file that is at fault or '', what the
# line must say)
BAD = {
    'missing': (lambda p: None, '', ['.npz', 'folder']),
    'empty': (lambda p: p.mkdir(), '', ['.png']),
    'size.npz': (lambda p: write_npz(p, IMAGES[:, :4]), '',
                 ['uint8', '8 x 8 x 1', '(3, 4, 8, 1)']),
    'colour.npz': (lambda p: write_npz(p, IMAGES.repeat(3, 3)), '',
                   ['8 x 8 x 1', '(3, 8, 8, 3)']),
    'flat.npz': (lambda p: write_npz(p, IMAGES[..., 0]), '', ['(3, 8, 8)']),
    'float.npz': (lambda p: write_npz(p, IMAGES / 255), '',
                  ['uint8', 'float64']),
    'none.npz': (lambda p: write_npz(p, IMAGES[:0]), '', ['(0, 8, 8, 1)']),
    'number.npz': (lambda p: write_npz(p, np.uint8(1)), '', ['uint8 ()']),
    'pickled.npz': (lambda p: write_npz(p, np.array([IMAGES, None], object)),
                    '', ['plain arrays', 'allow_pickle']),
    'other.npz': (lambda p: np.savez(p, x=IMAGES), '', ['arr_0', 'got x']),
    'text.npz': (lambda p: p.write_text('no archive'), '', ['plain arrays']),
    'nothing.npz': (lambda p: p.write_bytes(b''), '', ['plain arrays']),
    'cut.npz': (lambda p: p.write_bytes(write_npz(
        p, IMAGES).read_bytes()[:-30]), '', ['plain arrays']),
    'above.npz': (lambda p: write_npz(p, IMAGES, np.array([0, 9, 10])), '',
                  ['labels', '[0, 10)', '0 to 10']),
    'below.npz': (lambda p: write_npz(p, IMAGES, np.array([0, -1, 3])), '',
                  ['labels', '-1 to 3']),
    'short.npz': (lambda p: write_npz(p, IMAGES, np.array([1, 2])), '',
                  ['arr_1', '3 whole numbers', '(2,)']),
    'boundless.npz': (lambda p: write_header(p, (2**50, 8, 8, 1)), '',
                      ['bytes at most', str(2**50)]),
    'promised.npz': (lambda p: write_header(p, (2**20, 8, 8, 1), b'x'), '',
                     ['plain arrays']),
    'negative.npz': (lambda p: write_header(p, (-1, 8, 8, 1)), '',
                     ['8 x 8 x 1', '(-1, 8, 8, 1)']),
    'raw.npz': (lambda p: write_raw(p, b'no array'), '', ['plain arrays']),
    'pipe.npz': (os.mkfifo, '', ['regular file']),
    'names.npz': (lambda p: write_npz(p, IMAGES, np.array(['1', '2', '3'])),
                  '', ['arr_1', 'whole numbers', '<U1']),
    'broken': (lambda p: (write_folder(p, {'a.png': GREY}) / 'b.png'
                          ).write_text('x'), 'b.png', ['repair or remove']),
    'large': (lambda p: write_folder(p, {
        'a.png': GREY, 'b.png': GREY.repeat(2, 0)}), 'b.png',
              ['8 x 8', '8 x 16']),
    'deep': (lambda p: write_folder(p, {
        'a.png': GREY, 'b.png': GREY.astype(np.uint16)}), 'b.png', ['mode L']),
    'rgb': (lambda p: write_folder(p, {
        'a.png': np.stack([GREY] * 3, -1)}), 'a.png', ['mode L', 'RGB']),
    'clear': (lambda p: write_folder(p, {'a.png': GREY}, transparency=0),
              'a.png', ['upright', 'opaque']),
    'turned': (lambda p: write_folder(p, {'a.png': GREY}, exif=TURNED),
               'a.png', ['upright', 'opaque']),
    'ten': (lambda p: write_folder(p, {'9/a.png': GREY, '10/a.png': GREY}), '',
            ['labels', '9 to 10']),
    'cats': (lambda p: write_folder(p, {'3/a.png': GREY, 'cats/a.png': GREY}),
             'cats', ['class', 'number']),
}


@pytest.mark.parametrize('name', BAD)
def test_evaluate_says_what_is_wrong_with_samples_in_one_line(
    run, tmp_path, name):
  write, file, said = BAD[name]
  path = tmp_path / name
  write(path)
  result = run(evaluate, f'--samples={path}', f'--workdir={tmp_path}/run')
  result.check_refusal('evaluate', (str(path / file), *said))
  assert not (tmp_path / 'run').exists()


def test_read_samples_leaves_other_arrays_alone(tmp_path):
  """Nor are they looked at: one may be a trap."""
  path = write_npz(tmp_path / 'x.npz', IMAGES)
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('features.npy', 'no array')
  read = sample_files.read_samples(
      str(path), sources.Description(9, (8, 8, 1), ()))
  np.testing.assert_array_equal(read.arrays['image'], IMAGES)


@pytest.mark.parametrize('folders, names, want', [
    ('012', '123', None), ('12', '123', [0, 1]), ('012', 'abc', [0, 1, 2]),
    ('1a', 'abc', [1, 0]), ('ab', 'abc', [0, 1]), ('7', '07', [1])])
def test_folders_of_samples_are_read_by_one_rule(
    tmp_path, folders, names, want):
  """By name or, where no name is the number of another class, by number."""
  write_folder(tmp_path, {f'{name}/a.png': GREY for name in folders})
  data = sources.Description(9, (8, 8, 1), tuple(names))
  if want is None:
    with pytest.raises(ValueError, match="/0' must be called like a class"):
      sample_files.read_samples(str(tmp_path), data)
    return
  read = sample_files.read_samples(str(tmp_path), data).arrays
  assert read['label'].tolist() == want


@pytest.mark.parametrize('out', ['x.npz', 'folder'])
def test_read_samples_inverts_write_samples(out, tmp_path):
  """Of some classes only, whose folders are not the first ones."""
  train = embedded.digits('train')
  chosen = np.isin(train.arrays['label'], (3, 7))
  image, label = (train.arrays[key][chosen][:20] for key in ('image', 'label'))
  sample_files.write_samples(str(tmp_path / out), image, label,
                             train.class_names)
  read = sample_files.read_samples(str(tmp_path / out),
                                   sources.describe(train)).arrays
  order = np.argsort(label, kind='stable') if out == 'folder' else slice(None)
  np.testing.assert_array_equal(read['image'], image[order])
  np.testing.assert_array_equal(read['label'], label[order])


@pytest.mark.parametrize('label, said', [
    (np.zeros(3, int), 'needs samples of every class, got none of 1'),
    (None, 'needs samples with labels')])
def test_accuracy_score_says_why_there_is_none(label, said, tmp_path):
  digits = [embedded.digits(split) for split in ('train', 'test')]
  path = write_npz(tmp_path / 'x.npz', IMAGES, label)
  samples = sample_files.read_samples(
      str(path), sources.describe(digits[0])._replace(
          class_names=() if label is None else tuple('0123456789')))
  judge = Judge(None, None, classifier.Settings(), 'x')
  assert evaluation.accuracy_score(
      judge, samples, named.Data(*digits), None) == said


@pytest.fixture(scope='module')
def samples(tmp_path_factory):
  """Real training images, as somebody else's generator would leave them."""
  train = embedded.digits('train').arrays
  return write_npz(tmp_path_factory.mktemp('samples') / 'x.npz',
                   train['image'], train['label'].astype(np.int64))


@pytest.mark.slow
def test_evaluate_of_the_training_set_has_its_cas(
    run, samples, tmp_path, monkeypatch):
  """The accuracy of the classifier itself: trained once more, the same way."""
  monkeypatch.setitem(classifier.RECIPES['images'], 'steps', 20)
  result = run(evaluate, f'--samples={samples}', f'--workdir={tmp_path}',
               '--most=120')
  assert (result.code, result.err) == (0, '')
  assert 'no classifier given' in result.out
  written = json.loads((tmp_path / 'report.json').read_text())
  cas = written['metrics']['cas']
  assert cas['samples'] == cas['floor'] and 0 < cas['floor']['value'] < 1
  # The other is that of test images in the shares of these 120.
  other = written['metrics']['recognised']['floor']['value']
  assert cas['floor']['low'] < other < cas['floor']['high']
  assert written['metrics']['nn_ratio_pixels']['samples']['value'] < 1e-6
  assert written['metrics']['fd_pixels']['samples'] == (
      'needs 130 images a set, got 120')
  for name, row in written['metrics'].items():
    line, = (x for x in result.out.splitlines() if x.split()[:1] == [name])
    for cell in (row['samples'], row['floor']):
      assert (cell if isinstance(cell, str) else
              f'{cell["value"]:.3g} ({cell["low"]:.3g}, ') in line
  assert list(written['metrics']) == [
      'fd_digits', 'kid_digits', 'fd_pixels', 'precision', 'recall', 'density',
      'coverage', 'nn_ratio_pixels', 'c_t_pixels', 'authentic_pixels',
      'recognised', 'cas']
  assert written['extractor'] and written['extractor'] in result.out
  assert (written['num_samples'], written['num_test']) == (1500, 297)
  with Image.open(tmp_path / 'figures' / 'evaluation.png') as picture:
    picture.load()


def test_evaluate_of_a_run_is_that_of_the_samples_it_draws(
    run, digits_run, toy_run, classifier_run, draw, tmp_path):
  """Drawn by `sample` and written, they score the same."""
  image, label = draw(digits_run, '--num_samples=20', '--seed=3')
  samples = write_npz(tmp_path / 'x.npz', image, label)
  told = (f'--classifier={classifier_run}', '--most=20', '--seed=3')
  found = []
  for name, path in (('file', samples), ('run', digits_run)):
    result = run(evaluate, f'--samples={path}',
                 f'--workdir={tmp_path}/{name}', *told)
    assert (result.code, result.err) == (0, '')
    found.append(json.loads((tmp_path / name / 'report.json').read_text()))
  assert (found[0].pop('step'), found[1].pop('step')) == (None, 6)
  assert found[0] == found[1] and found[1]['num_samples'] == 20
  for path, said in ((classifier_run, ['samples', 'a classifier']),
                     (toy_run, ['shape (2,)', 'toy'])):
    result = run(evaluate, f'--samples={path}', f'--workdir={tmp_path}/no')
    result.check_refusal('evaluate', ['--samples', *said])
    assert not (tmp_path / 'no').exists()


def test_evaluate_of_several_weights_scores_each_as_if_alone(
    run, digits_run, classifier_run, samples, tmp_path):
  """By the same noise; and says which of them are best."""
  told = (f'--samples={digits_run}', f'--classifier={classifier_run}',
          '--most=140')
  assert run(evaluate, *told, '--weights=raw',
             f'--workdir={tmp_path}/one').code == 0
  result = run(evaluate, *told, '--weights=ema,raw',
               f'--workdir={tmp_path}/all')
  assert (result.code, result.err) == (0, '')
  one = json.loads((tmp_path / 'one' / 'report.json').read_text())['metrics']
  found = json.loads((tmp_path / 'all' / 'sweep.json').read_text())
  assert list(found) == ['ema', 'raw', 'training images']
  for name in ('fd_digits', 'nn_ratio_pixels', 'recognised'):
    assert found['raw'][name] == one[name]['samples'] != found['ema'][name]
  assert found['training images']['fd_digits'] == one['fd_digits']['floor']
  best = min(('ema', 'raw'), key=lambda w: found[w]['fd_digits']['value'])
  assert f'samples by {best} are the nearest to held-out images' in result.out
  other, = {'ema', 'raw'} - {best}
  assert (f'within its interval: {other}' in result.out) == (
      found[other]['fd_digits']['value'] <= found[best]['fd_digits']['high'])
  with Image.open(tmp_path / 'all' / 'figures' / 'sweep.png') as picture:
    picture.load()
  for path, weights, said in (
      (samples, 'raw', ['must be absent', 'raw']),
      (digits_run, 'ema,ema:0.07', ['ema:0.07']),
      (digits_run, 'ema,last', ['one of raw, ema'])):
    run(evaluate, f'--samples={path}', f'--weights={weights}',
        f'--workdir={tmp_path}/no').check_refusal('evaluate', said)
    assert not (tmp_path / 'no').exists()
