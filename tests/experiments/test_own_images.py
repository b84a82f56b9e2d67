"""A stranger's folder of pictures: what hurts elsewhere, a row a pain.

More rows: test_own_images_signs.py (what a run says of itself), _few.py (too
few images), _devices.py, _last_lines.py; bfloat16 is in tests/runs.
"""

import json
import os
import pathlib
from typing import NamedTuple

import chex
import jax
import numpy as np
from PIL import Image
import pytest

from experiments import augmentation
from experiments import evaluate
from experiments import forward_reverse
from experiments import image_space
from experiments import interpolate
from experiments import sample
from experiments import train_classifier
from experiments import train_diffusion
from experiments import train_vae
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sample_files
from genjax.data import scaled
from genjax.runs import data as run_data
from genjax.runs import diffusion
from genjax.runs import keys
from genjax.runs import workdir as workdirs
from genjax.runs.diffusion_choice import resolve
from genjax.runs.fit import fit_run
from genjax.runs.fit import Stopped
from genjax.runs.measure import Cost
from genjax.runs.open import open_run
from genjax.training.checkpoint import Checkpointer
from genjax.training.loop import Hook

pytestmark = pytest.mark.usefixtures('few_dots')


class Shape(NamedTuple):
  """Files of some mode, what is asked for, and what comes of it."""

  modes: tuple[str, ...]
  flags: tuple[str, ...]
  shape: tuple[int, int, int]
  mode: str  # of the pictures that are drawn


SHAPES = {
    'all grey': Shape(('L', '1'), ('--image_size=8',), (8, 8, 1), 'L'),
    'grey and coloured': Shape(('L', 'RGB'), ('--image_size=8',), (8, 8, 3),
                               'RGB'),
    'not square': Shape(('RGB',), ('--image_size=8x16',), (8, 16, 3), 'RGB'),
    'transparent': Shape(('RGBA', 'RGB'), ('--image_size=16x8', '--channels=4'),
                         (16, 8, 4), 'RGBA'),
}


def _write(folder, modes, num=6, side=16):
  """Pictures that vary, in each of the modes in turn."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  for i in range(num):
    pixels = rng.integers(0, 256, (side, side, 4)).astype(np.uint8)
    mode = modes[i % len(modes)]
    Image.fromarray(pixels).convert(mode).save(folder / f'{i}.png')
  return folder


@pytest.mark.parametrize('name', [
    pytest.param('all grey', marks=pytest.mark.slow), pytest.param(
        'grey and coloured', marks=pytest.mark.slow), *list(SHAPES)[2:-1],
    pytest.param(list(SHAPES)[-1], marks=pytest.mark.slow)])
def test_images_of_any_shape_are_trained_on_drawn_and_read_back(
    name, run, tmp_path, caplog, digits_run):
  row = SHAPES[name]
  # Grey ones begin with the weights of a run on digits.
  begin = [f'--init_from={digits_run}'] * (name == 'all grey')
  folder = _write(tmp_path / 'in', row.modes)
  workdir = tmp_path / 'run'
  result = run(train_diffusion, f'--workdir={workdir}',
               f'--data=folder:{folder}', '--network=dit', '--width=8',
               '--batch_size=8', '--steps=2', *row.flags, *begin)
  assert result.code == 0, result.err
  assert ('begins afresh' in caplog.text) == (name == 'all grey')
  assert ('are grey' in caplog.text) == (name == 'grey and coloured')
  assert open_run(str(workdir)).settings.shape == row.shape

  for out in ('pictures', 'samples.npz'):
    result = run(sample, f'--workdir={workdir}', '--num_samples=3', '--steps=2',
                 f'--out={tmp_path}/{out}')
    assert (result.code, result.err) == (0, '')
  settings = open_run(str(workdir)).settings
  description = named.open_data(
      settings.data, image_size=settings.image_size,
      channels=settings.channels).description
  assert description.shape == row.shape
  pictures, arrays = (sample_files.read_samples(
      f'{tmp_path}/{out}', description).arrays['image']
                      for out in ('pictures', 'samples.npz'))
  np.testing.assert_array_equal(pictures, arrays)
  with Image.open(next((tmp_path / 'pictures').glob('*.png'))) as image:
    assert (image.mode, image.size) == (row.mode, row.shape[1::-1])


@pytest.mark.slow
def test_figures_are_drawn_of_images_of_any_shape(run, tmp_path):
  """Opacity is laid over white in them."""
  folder = _write(tmp_path / 'in', ('RGBA',))
  workdir = tmp_path / 'run'
  assert run(train_diffusion, f'--workdir={workdir}', f'--data=folder:{folder}',
             '--network=dit', '--width=8', '--batch_size=8', '--steps=2',
             '--image_size=8x16', '--channels=4').code == 0
  assert run(forward_reverse, f'--workdir={workdir}', '--steps=2').code == 0
  for name in ('training', 'forward_reverse', 'samples_0000002'):
    with Image.open(workdir / 'figures' / f'{name}.png') as image:
      assert image.width > image.height or name != 'samples_0000002'


class Numbers(NamedTuple):
  """What is no picture of 8 bits: an array, and its lowest and highest."""

  shape: tuple[int, ...]  # of an example
  type: str
  low: float
  high: float
  picture: str  # mode of the pictures that are drawn; '' where there are none


NUMBERS = {
    '16 bit': Numbers((8, 8, 1), 'uint16', 300, 41000, 'I;16'),
    'float, five channels': Numbers((8, 4, 5), 'float64', 273., 273.1, 'L'),
    '1-D': Numbers((16, 2), 'float32', -3.0, 1.0, ''),
}


class Trained(NamedTuple):
  """A run on numbers, and the file that it was trained on."""

  row: Numbers
  path: pathlib.Path
  workdir: pathlib.Path
  scale: scaled.Scale


@pytest.fixture(scope='module')
def trained(request, run, write_run, tmp_path_factory):
  """On numbers whose mean is not the middle of their range."""
  row, folder = NUMBERS[request.param], tmp_path_factory.mktemp('numbers')
  x = np.random.default_rng(0).beta(2, 3, (40, *row.shape))
  x = row.low + (row.high - row.low) * (x - x.min()) / (x.max() - x.min())
  x = (np.round(x) if row.type[-2:] == '16' else x).astype(row.type)
  path, workdir = folder / 'x.npy', folder / 'run'
  np.save(path, x)
  if request.param == '1-D':  # what training draws is drawn of it too
    result = run(train_diffusion, f'--workdir={workdir}', f'--data=npy:{path}',
                 '--preset=digits', '--network=dit', '--width=8', '--steps=2',
                 '--patch_size=4', '--batch_size=8', '--held_out=0')
    assert result.code == 0, result.err
  else:
    write_run(workdir, 'digits', data=f'npy:{path}', network='dit', width=(8,),
              batch_size=8)
  return Trained(row, path, workdir,
                 scaled.Scale(float(x.min()), float(x.max()), row.type))


@pytest.mark.parametrize('trained', NUMBERS, indirect=True)
def test_samples_are_of_the_range_and_type_of_the_data(trained, run, tmp_path):
  row, scale, opened = trained.row, trained.scale, open_run(
      str(trained.workdir))
  assert opened.settings.shape == row.shape
  assert run_data.scale_of(opened.settings) == scale
  to = ('--num_samples=3', '--seed=5', f'--workdir={trained.workdir}')
  assert run(sample, *to, f'--out={tmp_path}/x.npz').code == 0
  x = np.load(tmp_path / 'x.npz')['arr_0']
  assert (x.dtype, x.shape) == (row.type, (3, *row.shape))
  np.testing.assert_array_equal(x, scaled.from_model(scale, np.asarray(
      opened.sample(keys.key(5, 'sample'), (3,)))))

  out = tmp_path / 'pictures'
  result = run(sample, *to, f'--out={out}')
  if not row.picture:
    result.check_refusal('sample', ['--out', '.npz for points and signals'])
    return
  assert ('at 8 bits for looking' in result.out) == (row.picture != 'I;16')
  with Image.open(out / '000002.png') as image:
    assert (image.mode, image.size) == (row.picture, row.shape[1::-1])
    pixels = np.asarray(image)
  if row.picture == 'I;16':
    np.testing.assert_array_equal(pixels, x[2, ..., 0])
  else:
    np.testing.assert_array_equal(pixels, pipeline.to_uint8(
        scaled.to_model(scale, x[2, ..., 0])))


@pytest.mark.parametrize('trained', ['16 bit'], indirect=True)
def test_samples_of_another_type_are_refused(trained, run, tmp_path):
  """And what else is not like the data; the run that drew them too."""
  x = np.load(trained.path)
  of_data, of_floats = f'npy:{trained.path}', f'npy:{tmp_path}/floats.npy'
  np.save(tmp_path / 'floats.npy', x.astype(np.float32))
  for name, array in {'whole': x, 'wide': x.astype(np.int32),
                      'bytes': (x >> 8).astype(np.uint8),
                      'nan': np.full(x.shape, np.nan, np.float32)}.items():
    np.savez(tmp_path / f'{name}.npz', array)
  (tmp_path / 'pictures').mkdir()
  for samples, data, said in [
      ('bytes.npz', of_data, ['arr_0', 'uint16 N x 8 x 8 x 1', 'uint8']),
      ('wide.npz', of_data, ['arr_0', 'uint16 N x 8 x 8 x 1', 'int32']),
      ('nan.npz', of_floats, ['nan.npz', 'finite', 'NaN']),
      ('whole.npz', of_floats, ['floating-point N x 8 x 8 x 1', 'uint16']),
      ('pictures', of_floats, ['.npz file', 'are floating-point', 'pictures']),
      (trained.workdir, of_floats, ['run on float32', 'got uint16'])]:
    result = run(evaluate, f'--samples={tmp_path / samples}', f'--data={data}',
                 f'--workdir={tmp_path}/of')
    result.check_refusal('evaluate', said)


@pytest.mark.parametrize('script, said', [
    (train_vae, ['--data', '8 bits for a VAE', 'int16']),
    (train_classifier, ['--data', 'must have classes']),
    (image_space, ['--data', 'must have classes']),
    (augmentation, ['--data', 'must have classes'])])
def test_what_needs_bytes_or_classes_refuses_numbers(
    script, said, run, tmp_path):
  """In one line, and nothing is written."""
  np.save(tmp_path / 'x.npy', np.arange(30 * 16, dtype=np.int16).reshape(
      30, 4, 4, 1))
  run(script, f'--data=npy:{tmp_path}/x.npy',
      f'--workdir={tmp_path}/run').check_refusal(
          script.__name__.rpartition('.')[2], said)
  assert not (tmp_path / 'run').exists()


def test_ends_of_a_path_are_taken_from_numbers_by_position(tmp_path):
  values = np.random.default_rng(0).uniform(-5, 9, (4, 6, 6, 1))
  source = scaled.ScaledSource(values, scaled.Scale(-5.0, 9.0, 'float64'))
  items = [interpolate.read_image('first', at, source) for at in ('1', '3')]
  np.testing.assert_allclose(interpolate.read_ends(items, None).x,
                             (values[1::2] - 2) / 7, atol=1e-6)
  Image.new('L', (6, 6)).save(tmp_path / 'a.png')
  with pytest.raises(ValueError, match='^first: must be a position or, of pix'):
    interpolate.read_image('first', f'{tmp_path}/a.png', source)


@pytest.mark.parametrize('trained', [*NUMBERS][1:], indirect=True)
def test_samples_are_compared_in_the_range_of_the_data(trained, run, tmp_path):
  """Training data are their own nearest neighbours to a millionth of it."""
  scale, data = trained.scale, f'npy:{trained.path}'
  np.savez(tmp_path / 'own.npz', scaled.from_model(
      scale, pipeline.full_batch(named.open_data(data).train)['x']))
  found = {}
  signals = len(trained.row.shape) == 2
  for samples in ('own.npz', *[trained.workdir] * signals):
    out = tmp_path / f'of_{pathlib.Path(samples).stem}'
    result = run(evaluate, f'--samples={tmp_path / samples}',
                 f'--data={data}', f'--workdir={out}')
    assert (result.code, result.err) == (0, '')
    report = json.loads((out / 'report.json').read_text())
    assert report['range'] == [scale.low, scale.high]
    assert (out / 'figures' / 'evaluation.png').exists()
    found[out.name] = report['metrics']['nn_ratio_pixels']['samples']['value']
  assert found['of_own'] < 1e-6 < .1 < found.get('of_run', 1)


@pytest.mark.parametrize('trained', ['1-D'], indirect=True)
def test_signals_are_drawn_in_figures(trained, run):
  """As curves, each channel in a colour of its own."""
  result = run(forward_reverse, f'--workdir={trained.workdir}', '--steps=2')
  assert (result.code, result.err) == (0, '')
  for name in ('forward_reverse', 'samples_0000002'):
    with Image.open(trained.workdir / 'figures' / f'{name}.png') as image:
      colors = np.asarray(image.convert('RGB'), int)
    assert (colors[..., 0] > colors[..., 2] + 100).any()
    assert (colors[..., 2] > colors[..., 0] + 100).any()


def test_a_judge_of_the_classes_is_trained_after_the_model(monkeypatch):
  """Unless a signal came."""
  done = []

  def fit(task, settings, *args, **kwargs):
    done.append('model')
    if settings == 'stopped':
      raise Stopped(15)

  monkeypatch.setattr(train_diffusion, 'fit_run', fit)
  monkeypatch.setattr(train_diffusion.report, 'save_training', done.append)
  monkeypatch.setattr(train_diffusion.recognition, 'keep_judge',
                      lambda *args: done.append(args[:3]))
  train_diffusion.train('settings', 'data', 'workdir')
  assert done == ['model', 'workdir', ('settings', 'data', 'workdir')]
  done.clear()
  with pytest.raises(Stopped):
    train_diffusion.train('stopped', 'data', 'workdir')
  assert done == ['model', 'workdir']


def test_minutes_are_counted_once_and_a_run_keeps_what_was_chosen(
    run, monkeypatch, tmp_path):
  """By the same command again, on another device too, or without --minutes."""
  counted, fitted = [], []
  monkeypatch.setattr(train_diffusion, 'measure', lambda *args: counted.append(
      args) or Cost(2**30, 2**34, compiling=10., step=33., spent=20.))
  monkeypatch.setattr(train_diffusion, 'train', lambda settings, *args:
                      fitted.append(settings) or workdirs.create_or_check(
                          args[-1], 'diffusion', settings))
  np.save(tmp_path / 'x.npy', np.random.default_rng(0).integers(
      0, 256, (30, 8, 8, 1)).astype(np.uint8))
  args = (f'--data=npy:{tmp_path}/x.npy', f'--workdir={tmp_path}/run',
          '--learning_rate=0.01')
  result = run(train_diffusion, *args, '--minutes=10')
  assert result.code == 0 and result.out.startswith(
      'preset auto: unet of 24, 32 channels')
  assert ('a step needs 1 of 16 GiB, 15 steps take about 9 min\n'
          in result.out)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
  for more in (['--minutes=10'], []):
    assert run(train_diffusion, *args, *more).code == 0
  assert len(counted) == 1  # and in 570 s, a tenth less, are 15 steps of 33 s
  first, *others = fitted
  assert (first.steps, first.warmup, first.save_every) == (15, 1, 15)
  assert (first.width, first.learning_rate) == ((24, 32), .01)
  assert others == [first, first]
  run(train_diffusion, *args, '--minutes=1', '--steps=3').check_refusal(
      'train_diffusion', ['--minutes', 'absent where --steps'])


class Killed(BaseException):
  """The process is gone: nothing more is saved."""


@pytest.mark.slow
def test_a_run_killed_three_times_ends_as_the_unbroken_one(tmp_path):
  """Weights, averages of every width, the best checkpoint, what was judged."""
  np.save(tmp_path / 'x.npy', np.random.default_rng(0).integers(
      0, 256, (60, 4, 4, 3)).astype(np.uint8))
  settings, data, _ = resolve(None, {
      'data': f'npy:{tmp_path}/x.npy', 'network': 'dit', 'width': (8,),
      'depth': 1, 'patch_size': 2, 'head_dim': 8, 'batch_size': 16,
      'optimizer': 'muon', 'ema_widths': (0.05, 0.1), 'steps': 12,
      'save_every': 3, 'log_every': 3})
  runs = [str(tmp_path / name) for name in ('whole', 'killed')]

  def kill_at(at):
    def kill(state, step):
      if step == at:
        raise Killed

    return lambda session: [Hook(1, kill)]

  fit_run(diffusion.TASK, settings, data, runs[0])
  for at in (2, 5, 10):
    with pytest.raises(Killed):
      fit_run(diffusion.TASK, settings, data, runs[1], hooks=kill_at(at))
  fit_run(diffusion.TASK, settings, data, runs[1])
  for weights in ('raw', 'ema', 'ema:0.07'):
    chex.assert_trees_all_equal(
        *(open_run(workdir, weights).params for workdir in runs))
  found = [Checkpointer(os.path.join(workdir, 'checkpoints'))
           for workdir in runs]
  assert found[0].steps() == found[1].steps()
  assert found[0].best_step() == found[1].best_step()
  chex.assert_trees_all_equal(*(
      dict(np.load(os.path.join(workdir, 'losses.npz'))) for workdir in runs))
