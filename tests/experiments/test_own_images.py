"""A stranger's folder of pictures: what hurts elsewhere, a row a pain."""

from typing import NamedTuple

import jax
import numpy as np
from PIL import Image
import pytest

from experiments import forward_reverse
from experiments import sample
from experiments import train_diffusion
from genjax.data import named
from genjax.data import sample_files
from genjax.runs import workdir as workdirs
from genjax.runs.fit import Stopped
from genjax.runs.measure import Cost
from genjax.runs.open import open_run


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


@pytest.mark.parametrize('name', SHAPES)
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
  assert run(sample, f'--workdir={workdir}', f'--out={out}',
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
