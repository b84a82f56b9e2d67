"""Own images: a folder of photographs through grain and the U-Net."""

import collections

import chex
import numpy as np
from PIL import Image
import pytest

from experiments import train_diffusion
from genjax.data import embedded
from genjax.data import folder
from genjax.data import pipeline
from genjax.data.sources import ArraySource
from genjax.runs.diffusion_choice import resolve
from genjax.training.logs import read_metrics

pytestmark = pytest.mark.usefixtures('one_device')

NUM, SIZE, BATCH, STEPS = 160, 16, 8, 40


@pytest.fixture(scope='module')
def flags(write_pictures, tmp_path_factory):
  pictures = write_pictures(tmp_path_factory.mktemp('photos') / 'in', NUM, SIZE)
  return (f'--data=folder:{pictures}', f'--image_size={SIZE}', '--width=8,8',
          '--held_out=0', '--preset=digits', f'--batch_size={BATCH}',
          f'--steps={STEPS}', '--log_every=1', '--cache=0')


class Watched:
  """The script's batches, remembered."""

  def __init__(self):
    self.batches, self.source = [], None
    self._inner = pipeline.batches

  def __call__(self, source, *args, **kwargs):
    self.source = source
    for batch in self._inner(source, *args, **kwargs):
      self.batches.append(batch['x'])
      yield batch


@pytest.fixture(scope='module')
def trained(run, flags, tmp_path_factory):
  """(workdir, Result, the batches that the script trained on)."""
  workdir = tmp_path_factory.mktemp('photos') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    watched = Watched()
    patch.setattr(pipeline, 'batches', watched)
    result = run(train_diffusion, f'--workdir={workdir}', *flags)
  return workdir, result, watched


@pytest.mark.slow
def test_photographs_train_and_the_loss_falls(trained):
  workdir, result, _ = trained
  assert (result.code, result.err) == (0, '')
  records = read_metrics(workdir / 'metrics.jsonl')
  losses = [record['loss'] for record in records]
  assert len(losses) == STEPS
  assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_every_file_is_seen_once_an_epoch(trained):
  _, _, watched = trained
  assert isinstance(watched.source, folder.FolderSource)
  assert watched.source.pixels is None  # read by grain
  assert not isinstance(watched.source, ArraySource)
  # By content: two of the crops are the same piece of sky.
  files = collections.Counter(item['image'].tobytes()
                              for item in watched.source)
  assert files.total() == NUM and len(files) >= NUM - 1
  seen = [image.tobytes()
          for image in pipeline.to_uint8(np.concatenate(watched.batches))]
  assert len(seen) == STEPS * BATCH == 2 * NUM
  epochs = [seen[i:i + NUM] for i in range(0, len(seen), NUM)]
  for epoch in epochs:
    assert collections.Counter(epoch) == files
  assert epochs[0] != epochs[1]  # each in an order of its own


def test_photographs_are_sampled_in_colour(trained, draw):
  images, labels = draw(trained[0], '--num_samples=3', '--steps=2',
                        '--sampler=ddim')
  assert (images.dtype, images.shape) == (np.uint8, (3, SIZE, SIZE, 3))
  assert labels is None


@pytest.mark.slow
def test_photographs_resume_bitwise(
    run, flags, trained, state_of, stop_at, tmp_path):
  workdir = tmp_path / 'run'
  with stop_at(17):
    result = run(train_diffusion, f'--workdir={workdir}', *flags)
  assert result.code == 0 and state_of(workdir)[1] == 17
  assert run(train_diffusion, f'--workdir={workdir}', *flags).code == 0
  chex.assert_trees_all_equal(state_of(workdir)[0], state_of(trained[0])[0])


def test_classes_and_held_out_files_of_a_folder_are_used(tmp_path):
  digits = embedded.digits('test').arrays
  for i, (image, label) in enumerate(zip(digits['image'], digits['label'])):
    place = tmp_path / f'class{label}'
    place.mkdir(exist_ok=True)
    Image.fromarray(image[..., 0]).save(place / f'{i}.png')
  settings, data, _ = resolve('digits', {
      'data': f'folder:{tmp_path}', 'image_size': (8,), 'held_out': 0.1})
  assert settings.class_names == tuple(f'class{i}' for i in range(10))
  assert settings.shape == (8, 8, 1)  # as the files are grey
  sizes = len(data.train), len(data.test)
  assert sizes == (297 - 30, 30)
  content = [{item['image'].tobytes() for item in part} for part in data]
  assert not content[0] & content[1]
