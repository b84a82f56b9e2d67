"""A folder of grey PNG files of 16 bits: trained on, drawn, and compared."""

import dataclasses
import json

import numpy as np
from PIL import Image
import pytest

from experiments import evaluate
from experiments import sample
from experiments import train_diffusion
from genjax.data import sample_files
from genjax.data import scaled
from genjax.data import sources
from genjax.runs import data as run_data
from genjax.runs.diffusion_choice import resolve
from genjax.runs.open import open_run

pytestmark = pytest.mark.usefixtures('few_dots')


@pytest.fixture(name='pictures', scope='module')
def _pictures(tmp_path_factory):
  """Of 12 bits, 40 of them, in classes that file names tell."""
  folder = tmp_path_factory.mktemp('pictures')
  rng = np.random.default_rng(0)
  for i in range(40):
    pixels = rng.integers(100, 4096, (8, 8)) // (1 + i % 2)
    Image.fromarray(pixels.astype(np.uint16)).save(
        folder / f'{"ab"[i % 2]}{i:02}.png')
  return folder


def test_a_run_goes_on_by_the_bits_that_it_began_with(pictures):
  """At 8, where it is older than that setting."""
  chosen = {'data': f'folder:{pictures}', 'image_size': (8,)}
  new = resolve(None, chosen)[0]
  old = dataclasses.replace(new, bits=8, value_range=(), value_type=None)
  assert new.bits == 16
  for before in (new, old):
    settings = resolve(None, chosen, before)[0]
    assert (settings.bits, settings.value_range) == (
        before.bits, before.value_range)


def test_samples_are_16_bits_and_their_pictures_are_read_as_they_are(
    pictures, run, tiny, tmp_path):
  """After a step of training; a run of 16 bits does not go on at 8."""
  workdir = tmp_path / 'run'
  args = (f'--workdir={workdir}', '--preset=digits', '--image_size=8',
          f'--data=folder:{pictures}', '--held_out=0', '--steps=1', *tiny)
  result = run(train_diffusion, *args)
  assert result.code == 0, result.err
  run(train_diffusion, *args, '--bits=8').check_refusal(
      'train_diffusion', ['holds a run with', '=16;'])
  opened = open_run(str(workdir))
  scale = run_data.scale_of(opened.settings)
  assert scale == scaled.Scale(scale.low, 4095.0, 'uint16')
  assert (opened.settings.bits, opened.settings.shape) == (16, (8, 8, 1))

  for out in ('drawn', 'drawn.npz'):
    result = run(sample, f'--workdir={workdir}', '--num_samples=30',
                 f'--out={tmp_path}/{out}')
    assert (result.code, result.err) == (0, '')
    assert 'at 8 bits' not in result.out
  described = sources.Description(30, (8, 8, 1), ())
  drawn = [sample_files.read_samples(f'{tmp_path}/{name}', described, scale)
           for name in ('drawn', 'drawn.npz')]
  np.testing.assert_array_equal(*(each.arrays['x'] for each in drawn))
  with Image.open(tmp_path / 'drawn' / '000029.png') as image:
    assert image.mode == 'I;16'


def test_pictures_of_16_bits_are_their_own_nearest(pictures, run, tmp_path):
  """Copies of the training pictures are found to be these, to the last bit."""
  result = run(evaluate, f'--samples={pictures}', '--image_size=8',
               f'--data=folder:{pictures}', f'--workdir={tmp_path}/of')
  assert result.code == 0, result.err
  report = json.loads((tmp_path / 'of' / 'report.json').read_text())
  assert report['range'][1] == 4095 and report['num_samples'] == 40
  # All but a tenth, which is held out, are copies.
  assert report['metrics']['nn_ratio_pixels']['samples']['value'] < .2
