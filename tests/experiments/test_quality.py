"""The judge on real digits, and what `make demo` promises to leave."""

import json

import numpy as np
from PIL import Image
import pytest

from experiments import demo
from experiments import quality
from genjax.data import embedded
from genjax.reports.quality import judge
from genjax.reports.quality import real_floor
from genjax.runs.diffusion_settings import RECIPES
from genjax.training.logs import read_metrics

pytestmark = pytest.mark.usefixtures('few_dots')

MEASURES = ['recognised', 'cas', 'fd_pixels', 'nn_ratio', 'diversity']


def test_judge_gives_the_published_floors_to_the_training_images():
  floor = real_floor()
  assert list(floor) == MEASURES
  # FACTS of the split, by scikit-learn and scipy alone, as it prints them.
  assert floor == {
      'recognised': 1.0, 'cas': pytest.approx(.993, abs=5e-4),
      'fd_pixels': pytest.approx(29.7, abs=.05), 'nn_ratio': 0,
      'diversity': pytest.approx(.976, abs=5e-4)}


def test_judge_finds_the_test_images_to_be_the_test_images():
  test = embedded.digits('test').arrays
  found = judge(test['image'], test['label'])
  # Recognised by an SVC of the training images: what CAS is for those.
  assert found['recognised'] == pytest.approx(.993, abs=5e-4)
  assert found['fd_pixels'] == pytest.approx(0, abs=1e-3)
  assert found['nn_ratio'] == pytest.approx(1, abs=1e-6)
  assert found['diversity'] == pytest.approx(1, abs=1e-6)


def test_judge_sees_what_is_wrong():
  train = embedded.digits('train').arrays
  images, labels = train['image'], train['label']
  noise = np.random.default_rng(0).integers(0, 256, images.shape)
  found = judge(noise.astype(np.uint8), labels)
  assert found['recognised'] < .3 and found['fd_pixels'] > 500
  assert found['nn_ratio'] > 2
  shifted = judge(images, (labels + 1) % 10)
  assert shifted['recognised'] == 0 and shifted['cas'] < .05
  first = np.stack([images[labels == c][0] for c in range(10)])
  found = judge(first[labels], labels)  # one image a class
  assert found['diversity'] == pytest.approx(0, abs=1e-6)


@pytest.fixture
def tiny_preset(monkeypatch):
  preset = {**RECIPES['digits'], 'network': 'dit', 'width': (8,),
            'batch_size': 8, 'steps': 2}
  monkeypatch.setitem(RECIPES, 'digits', preset)


def test_demo_leaves_all_that_it_promises(run, tiny_preset, tmp_path):
  workdir = tmp_path / 'digits'
  result = run(demo, f'--workdir={workdir}')
  assert (result.code, result.err) == (0, '')
  with np.load(workdir / 'samples.npz') as arrays:
    images, labels = arrays['arr_0'], arrays['arr_1']
  assert (images.dtype, images.shape) == (np.uint8, (1500, 8, 8, 1))
  real = embedded.digits('train').arrays['label']
  np.testing.assert_array_equal(labels, real)

  figures = workdir / 'figures'
  with Image.open(figures / 'samples.png') as grid:
    pixels = np.asarray(grid.convert('L'))
  # Ten rows and columns of equal pitch: column c has the class c.
  pitch = pixels.shape[0] // 10
  zoom = pitch // 8
  assert pixels.shape[0] == pixels.shape[1]
  for c in range(10):
    first = images[labels == c][0, ..., 0]
    cell = pixels[:pitch + 1, pitch * c:pitch * (c + 1) + 1]
    tile = np.kron(first, np.ones((zoom, zoom), np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(cell, tile.shape)
    assert (windows == tile).all((-1, -2)).any(), c
  for name in ('forward_reverse.png', 'forward_reverse.gif', 'training.png'):
    with Image.open(figures / name) as image:
      image.load()
  assert read_metrics(workdir / 'metrics.jsonl')[-1]['step'] == 2
  assert list((workdir / 'tensorboard').iterdir())
  assert (workdir / 'checkpoints' / '2').is_dir()

  rows = json.loads((workdir / 'report.json').read_text())
  assert list(rows) == ['these samples', 'real train']
  assert all(list(row) == MEASURES for row in rows.values())
  for part in ('figures/samples.png', 'figures/forward_reverse.png',
               'figures/training.png', 'samples.npz', 'recognises',
               f'{rows["these samples"]["recognised"]:.1%}', 'NN ratio',
               '--data=folder:', '--workdir='):
    assert part in result.out


@pytest.mark.slow
def test_quality_states_mean_and_range_over_seeds(run, tiny_preset, tmp_path):
  result = run(quality, f'--workdir={tmp_path}', '--num_seeds=2', '--seed=4')
  assert (result.code, result.err) == (0, '')
  rows = json.loads((tmp_path / 'report.json').read_text())
  assert list(rows) == ['real train', 'seed 4', 'seed 5', 'mean', 'least',
                        'most']
  for name in MEASURES:
    pair = [rows['seed 4'][name], rows['seed 5'][name]]
    assert rows['mean'][name] == pytest.approx(np.mean(pair))
    assert [rows['least'][name], rows['most'][name]] == sorted(pair)
  assert rows['seed 4'] != rows['seed 5']
