"""What sample writes, and on what it depends."""

import dataclasses
import itertools
import json
import os
import zipfile

import chex
import numpy as np
import pytest

from experiments import asked
from experiments import sample
from experiments import train_diffusion
from genjax.data import folder
from genjax.data import folder_names
from genjax.data import sample_files
from genjax.data import sources
from genjax.diffusion import drawing
from genjax.diffusion.named import SAMPLERS
from genjax.reports import draws
from genjax.reports import samples
from genjax.runs import density
from genjax.runs import open_run
from genjax.runs.density_fits import fit_density
from genjax.runs.diffusion_settings import Settings
from tests.runs.keep import KEPT

FEW = '--steps=3'


def test_sample_writes_images_and_labels_in_turn(run, digits_run, tmp_path):
  out = tmp_path / 'new' / 'x.npz'
  result = run(sample, f'--workdir={digits_run}', f'--out={out}', FEW,
               '--num_samples=7', '--labels=3,7,0', '--seed=5',
               '--weights=raw', '--guidance=1.5', '--sampler=ddim')
  assert result == (0, f'wrote 7 samples to {out}, their flags to '
                    f'{out.with_suffix(".json")}\n', '')
  with np.load(out) as arrays:
    assert sorted(arrays) == ['arr_0', 'arr_1']
    images, labels = arrays['arr_0'], arrays['arr_1']
  assert (images.dtype, images.shape) == (np.uint8, (7, 8, 8, 1))
  assert labels.dtype == np.int64
  assert labels.tolist() == [3, 7, 0, 3, 7, 0, 3]
  assert json.loads(out.with_suffix('.json').read_text()) == {
      'workdir': str(digits_run), 'step': 6, 'weights': 'raw', 'seed': 5,
      'sampler': 'ddim', 'sampling_steps': 3, 'guidance': 1.5, 'num_samples': 7,
      'labels': ['3', '7', '0'], 'guidance_log_snr': [-4.0, 4.0],
      'guidance_method': 'classifier_free', 'guidance_eta': 0.0,
      'guidance_momentum': 0.0, 'guidance_share': 0.7, 'guidance_still': 1}
  assert sorted(p.name for p in out.parent.iterdir()) == ['x.json', 'x.npz']


def test_sample_says_how_often_its_classes_are_recognised(
    run, digits_run, tmp_path, monkeypatch):
  """Of the images that it wrote, and the classes that it was asked for."""
  told = []
  monkeypatch.setattr(sample.recognition, 'recognised', lambda *args:
                      told.append(args) or 'in a line')
  result = run(sample, f'--workdir={digits_run}', f'--out={tmp_path}/x.npz',
               FEW, '--num_samples=7', '--labels=3,7,0')
  assert result == (
      0, f'wrote 7 samples to {tmp_path}/x.npz, their flags to '
      f'{tmp_path}/x.json\nin a line\n', '')
  (settings, workdir, image, label), = told
  assert (settings.class_names, workdir) == (
      tuple('0123456789'), str(digits_run))
  with np.load(tmp_path / 'x.npz') as arrays:
    np.testing.assert_array_equal(arrays['arr_0'], image)
    np.testing.assert_array_equal(arrays['arr_1'], label)


def test_sample_writes_to_the_workdir_by_default(run, toy_run, files_of):
  before = files_of(toy_run)
  result = run(sample, f'--workdir={toy_run}', '--num_samples=6', FEW)
  assert result.code == 0
  with np.load(toy_run / 'samples.npz') as arrays:
    assert list(arrays) == ['arr_0']  # no classes, no labels
    assert arrays['arr_0'].dtype == np.float32
    assert arrays['arr_0'].shape == (6, 2)
  again = run(sample, f'--workdir={toy_run}', '--num_samples=6', FEW)
  assert again.out == f'{result.out[:-1]}, in place of earlier ones\n'
  after = files_of(toy_run)
  assert after.items() >= before.items()  # the run itself is untouched
  assert after.keys() - before.keys() == {'samples.npz', 'samples.json'}


def test_sample_folder_is_read_back_with_the_same_labels(
    run, draw, digits_run, tmp_path):
  out = tmp_path / 'pictures'
  flags = (FEW, '--num_samples=6', '--labels=7,3')
  result = run(sample, f'--workdir={digits_run}', f'--out={out}', *flags)
  assert result.code == 0
  images, labels = draw(digits_run, *flags)
  source = folder.folder_source(out, 8, channels=1)
  assert source.class_names == ('3', '7')
  items = list(source)
  read = [int(source.class_names[item['label']]) for item in items]
  assert read == sorted(labels.tolist())
  # By class, and within a class in the order drawn.
  order = np.argsort(labels, kind='stable')
  np.testing.assert_array_equal([i['image'] for i in items], images[order])
  used = json.loads((out / 'flags.json').read_text())
  assert used['labels'] == ['7', '3'] and used['num_samples'] == 6


def test_write_samples_calls_folders_like_the_classes(tmp_path):
  """Read back as samples of such data, they have the same labels."""
  names = ('dog', 'cat', '7')
  labels = np.array([2, 0, 1, 0])
  images = np.zeros((4, 4, 4, 3), np.uint8) + labels[:, None, None, None]
  images = images.astype(np.uint8)
  samples.write_samples(str(tmp_path / 'x'), images, labels, names, {})
  assert folder.folder_source(tmp_path / 'x', 4).class_names == (
      '7', 'cat', 'dog')
  read = sample_files.read_samples(
      str(tmp_path / 'x'), sources.Description(4, (4, 4, 3), names)).arrays
  assert read['label'].tolist() == [2, 1, 0, 0]
  assert read['image'][:, 0, 0, 0].tolist() == [2, 1, 0, 0]


def test_sample_does_not_depend_on_the_batch_size(
    draw, digits_run, monkeypatch):
  flags = (FEW, '--num_samples=16', '--sampler=ddpm')  # with noise in between
  once, labels = draw(digits_run, *flags)  # 2 on each of 8 devices
  monkeypatch.setattr(drawing, '_BLOCK', 5)
  images, again = draw(digits_run, *flags)  # on one device
  np.testing.assert_array_equal(again, labels)
  # Another order of sums may tip a pixel over the edge of a rounding.
  apart = np.abs(images.astype(int) - once.astype(int))
  assert apart.max() <= 1 and (apart > 0).mean() < 0.01
  fewer, _ = draw(digits_run, FEW, '--num_samples=5', '--sampler=ddpm')
  np.testing.assert_array_equal(fewer, images[:5])


def test_sample_depends_on_every_flag_that_it_should(draw, digits_run):
  flags = (FEW, '--num_samples=16', '--sampler=ddim')
  first, labels = draw(digits_run, *flags)
  again, _ = draw(digits_run, *flags)
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(labels, np.arange(16) % 10)
  assert len(np.unique(first.reshape(16, -1), axis=0)) == 16
  for other in ('--seed=1', '--weights=raw', '--guidance=2', '--labels=0',
                '--eta=0.5', '--rho=3'):
    images, _ = draw(digits_run, *flags, other)
    differ = (images != first).reshape(16, -1).any(1)
    # The first and the eleventh have the label 0 either way.
    want = labels != 0 if other == '--labels=0' else labels >= 0
    assert differ.tolist() == want.tolist(), other


@pytest.mark.parametrize('flag', ['--sampler=heun --churn=2',
                                  '--sampler=dpm_solver_2m_sde --tau=0.5'])
def test_samples_depend_on_the_options_of_a_method(draw, toy_run, flag):
  method, option = flag.split()
  with_it, without = (draw(toy_run, '--num_samples=8', FEW, method, *more)[0]
                      for more in ((option,), ()))
  assert (with_it != without).any(1).all()


@pytest.mark.slow  # every one of them alone has its laws in tests/diffusion
def test_sample_runs_every_sampler(draw, toy_run):
  drawn = {name: draw(toy_run, '--num_samples=8', f'--sampler={name}', FEW)[0]
           for name in SAMPLERS}
  for x in drawn.values():
    assert np.isfinite(x).all() and x.shape == (8, 2)
  # Euler's steps are in sigma / alpha, where they are DDIM's.
  np.testing.assert_allclose(drawn.pop('euler'), drawn['ddim'], atol=1e-4)
  for one, other in itertools.combinations(drawn.values(), 2):
    assert np.abs(one - other).max() > 1e-3  # coarse grids set them apart


def test_opened_weights_are_averaged_or_last(digits_run, state_of):
  state, _ = state_of(digits_run)
  for weights, want in (('ema', state.averages['ema']), ('raw', state.params)):
    run = open_run(str(digits_run), weights)
    chex.assert_trees_all_equal(run.params, want)
    assert run.step == 6


# What may stand in somebody's data, or in a settings file that was received.
NAMES = ('/a/abbey', '..', '../../x', 'a/b', 'a', '', '.', 'a\nb', 'a\0b',
         'a\\b', 'a.', 'a ', '.git', '__MACOSX', '50%', '%2F', '%41', 'A',
         'x' * 300, 'x' * 299 + 'y', '\u732b', '\udcff')


def test_write_samples_stays_in_its_folder_whatever_the_names(tmp_path):
  """And what is read back has the labels it was written with."""
  names = (str(tmp_path / 'elsewhere'), *NAMES)
  labels = np.arange(len(names)).repeat(2)
  images = np.broadcast_to(labels[:, None, None, None], (len(labels), 4, 4, 1)
                           ).astype(np.uint8)
  out = tmp_path / 'out'
  samples.write_samples(str(out), images, labels, names, {})
  assert os.listdir(tmp_path) == ['out']
  files = [p.relative_to(out) for p in out.rglob('*') if p.is_file()]
  assert all(len(p.parts) == 2 for p in files if p.suffix == '.png')
  assert len(files) == len(labels) + 1  # flags.json
  read = sample_files.read_samples(
      str(out), sources.Description(9, (4, 4, 1), names)).arrays
  np.testing.assert_array_equal(np.sort(read['label']), labels)
  np.testing.assert_array_equal(read['image'][:, 0, 0, 0], read['label'])
  # As a folder of images the classes have their names, but for the long ones.
  found = folder.folder_source(out, 4).class_names
  assert {n for n in found if len(n) < 100} == {
      n for n in names if len(n) <= 200}


@pytest.mark.parametrize('labels, names, match', [
    ([0, 1], ('a', 'a'), "different names, got .'a', 'a'."),
    ([0, 2], ('a', 'b'), r'labels must be in \[0, 2\)'),
    ([0, -1], ('a', 'b'), r'labels must be in \[0, 2\)')])
def test_write_samples_refuses_labels_without_a_name_of_their_own(
    tmp_path, labels, names, match):
  with pytest.raises(ValueError, match=match):
    samples.write_samples(str(tmp_path / 'x'), np.zeros((2, 4, 4, 1), np.uint8),
                         np.array(labels), names, {})


def test_write_samples_sees_a_file_system_that_takes_two_names_for_one(
    tmp_path, monkeypatch):
  inner = folder_names.to_folder
  monkeypatch.setattr(folder_names, 'to_folder', lambda n: inner(n).lower())
  with pytest.raises(ValueError, match='must be an .npz file'):
    sample_files.class_folders(str(tmp_path), np.arange(3),
                               ('cat', 'Cat', 'dog'))


# (names of classes, what is given, the numbers that are meant)
CLASSES = [
    ('cat dog emu', 'emu 0 01', [2, 0, 1]),
    ('cat dog emu', 'cats 3', [None, 3]),  # a number, if of no class
    ('cat dog emu', '-1 1.0 \u0663 \u00b2 1e0', [None] * 5),
    ('cat dog emu', '9' * 5000, [None]),
    ('0 1 2', '2 0', [2, 0]),
    ('00 01 02', '2 01 0', [2, 1, 0]),
    # Where a number is the name of another class, names alone count.
    ('1 2 3', '0 1 2', [None, 0, 1]),
    ('1 2 3', '3', [2]),
    ('cat 0', '0 1', [1, None]),
    ('cat 7', '7 0', [1, None]),
]


@pytest.mark.parametrize('names, given, want', CLASSES)
def test_class_numbers_go_by_one_rule(names, given, want):
  names = names.split()
  assert sample_files.class_numbers(given.split(), names) == want
  # What is meant by one does not depend on what stands beside it.
  for word, number in zip(given.split(), want):
    assert sample_files.class_numbers([word], names) == [number]
  if all(n is not None and n < len(names) for n in want):
    assert asked.parse_labels(
        names, given.split(), len(want)).tolist() == want
  else:
    with pytest.raises(ValueError, match='labels: must be names of classes'):
      asked.parse_labels(names, given.split(), 9)


def test_parse_labels_takes_names_and_numbers():
  settings = Settings(class_names=('cat', 'dog', 'emu'))
  classes, parse = draws.classes_of(settings), asked.parse_labels
  assert parse(classes, ['emu', '0'], 5).tolist() == [2, 0, 2, 0, 2]
  assert parse(classes, None, 5).tolist() == [0, 1, 2, 0, 1]
  assert parse(draws.classes_of(Settings()), None, 5) is None
  untold = dataclasses.replace(settings, conditional=False)
  assert parse(draws.classes_of(untold), None, 5) is None


def test_sample_draws_from_a_density_which_knows_no_classes(run, tmp_path):
  points = np.random.default_rng(0).normal(50.0, 2.0, (300, 3))
  fit_density(density.Settings(model='gaussian'), points,
              str(tmp_path / 'run'))
  result = run(sample, f'--workdir={tmp_path}/run', '--num_samples=400')
  assert (result.code, result.err) == (0, '')
  with np.load(tmp_path / 'run' / 'samples.npz') as drawn:
    assert drawn.files == ['arr_0']
    x = drawn['arr_0']
  assert x.shape == (400, 3)
  error = 4 * points.std(0) / 400**0.5
  assert np.all(np.abs(x.mean(0) - points.mean(0)) < error)
  result = run(sample, f'--workdir={tmp_path}/run', '--labels=0')
  result.check_refusal('sample', ['--labels', 'unconditional'])


def test_a_run_that_does_not_sample_is_refused_before_its_flags(run, tmp_path):
  with zipfile.ZipFile(KEPT / 'classifier.zip') as kept:
    kept.extractall(tmp_path)
  result = run(sample, f'--workdir={tmp_path}', '--labels=none')
  result.check_refusal('sample', ['--workdir', 'a model that samples',
                                  'a classifier'])


@pytest.mark.slow
def test_constant_colours_come_back_with_their_law(run, tmp_path):
  """Mean, spread and brightness as far apart as two draws of them may be."""
  rng, num = np.random.default_rng(0), 400
  colours = (rng.uniform(60, 195, num)[:, None] + (40, 0, -40)).round()
  images = np.broadcast_to(colours[:, None, None], (num, 4, 4, 3))
  np.save(tmp_path / 'x.npy', images.astype(np.uint8))
  workdir, out = str(tmp_path / 'run'), str(tmp_path / 'samples.npz')
  result = run(
      train_diffusion, f'--data=npy:{tmp_path}/x.npy', f'--workdir={workdir}',
      '--preset=digits', '--network=dit', '--width=64', '--depth=2',
      '--patch_size=4', '--head_dim=16', '--batch_size=64', '--steps=1500',
      '--learning_rate=3e-3', '--save_every=1500', '--held_out=0')
  assert result.code == 0, result.err
  assert run(sample, f'--workdir={workdir}', f'--out={out}', '--steps=18',
             f'--num_samples={num}').code == 0
  drawn = np.load(out)['arr_0'].astype(np.float64)
  # A level is a hundredth of their spread; rounding alone makes a half.
  assert drawn.std((1, 2)).mean() < 1
  drawn = drawn.mean((1, 2))
  apart = drawn - drawn.mean(1, keepdims=True) - (40, 0, -40)
  assert np.abs(apart).mean() < 1

  brightness = colours.mean(1)
  pairs = [rng.choice(brightness, (2, num)) for _ in range(1000)]
  for measure in (  # the last is W1 in one dimension
      lambda x, y: abs(x.mean() - y.mean()),
      lambda x, y: abs(x.std() - y.std()),
      lambda x, y: np.abs(np.sort(x) - np.sort(y)).mean()):
    floor = np.quantile([measure(*pair) for pair in pairs], 0.999)
    assert measure(drawn.mean(1), brightness) < floor
