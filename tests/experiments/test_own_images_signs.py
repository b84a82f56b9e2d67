"""Own images, what a run says of itself: flat, lagging, ignoring its classes.

Images of one colour each, which a small transformer learns in seconds. What is
said where images are few is in test_own_images_few.py.
"""

import logging
from typing import NamedTuple

import numpy as np
from PIL import Image
import pytest

from experiments import sample
from experiments import train_diffusion
from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.runs import diffusion
from genjax.runs import keys
from genjax.runs import open_run
from genjax.runs.diffusion_settings import choose
from genjax.runs.diffusion_settings import with_facts
from genjax.runs.fit import fit_run
from genjax.training.logs import read_metrics

pytestmark = pytest.mark.usefixtures('few_dots', 'one_device')

NETWORK = {'network': 'dit', 'patch_size': 4, 'head_dim': 16, 'width': (64,),
           'optimizer': 'muon', 'learning_rate': 0.01, 'warmup': 10}
STEPS = 100


def colours(num, seed):
  """Images of one colour each, brighter or darker, of red more than of blue."""
  shade = np.random.default_rng(seed).uniform(60, 195, num)
  pixels = (shade[:, None] + (40, 0, -40)).round().astype(np.uint8)
  return ArraySource({'image': np.broadcast_to(
      pixels[:, None, None], (num, 4, 4, 3))})


DATA = named.Data(colours(180, 0), colours(60, 1))


class Lines(logging.Handler):
  """Keeps what is logged."""

  def __init__(self):
    super().__init__()
    self.lines = []

  def emit(self, record):
    self.lines.append(record.getMessage())


def train(workdir, **chosen):
  """What the log of a training says, a text."""
  settings = with_facts(choose('digits', {
      **NETWORK, 'data': 'npy:gone', 'guidance': 1.0, **chosen}), DATA)
  kept, logger = Lines(), logging.getLogger('absl')
  level = logger.level
  logger.addHandler(kept)
  logger.setLevel(logging.INFO)
  try:
    fit_run(diffusion.TASK, settings, DATA, workdir)
  finally:
    logger.setLevel(level)
    logger.removeHandler(kept)
  return '\n'.join(kept.lines)


def test_a_loss_that_no_longer_falls_is_flat(tmp_path):
  """As it is where the learning rate moves nothing."""
  said = train(str(tmp_path), learning_rate=1e-30, width=(8,), head_dim=8,
               steps=8, save_every=2)
  assert 'step 6: still improving' in said  # after three none is flat
  assert 'step 8: flat since step 2: the held-out loss no longer falls' in said


class Early(NamedTuple):
  """A run of a few steps whose average remembers ten thousand."""

  workdir: str
  log: str


@pytest.fixture(scope='module')
def early(tmp_path_factory):
  workdir = str(tmp_path_factory.mktemp('early'))
  return Early(workdir, train(workdir, ema_decay=0.9999, steps=STEPS,
                              save_every=25))


def test_an_average_that_lags_is_told_and_a_loss_that_falls_is_not_flat(early):
  """And of no checkpoint at which the average is as good as the weights."""
  losses = {record['step']: record['test/loss'] - record['test/loss_raw']
            for record in read_metrics(f'{early.workdir}/metrics.jsonl')
            if 'test/loss' in record}
  told = {step for step in losses
          if f'step {step}: the average lags behind' in early.log}
  assert 25 in told and 'step 50: still improving' in early.log
  assert all(losses[step] > 0 for step in told)
  assert 'flat' not in early.log


def test_an_average_of_ten_thousand_steps_draws_no_noise_after_a_hundred(early):
  """Samples by the average are as plain as those by the weights themselves.

  Both are images: noise of the size of the data spreads by 45 levels within an
  image, and an average of a hundred steps that forgot its beginning as slowly
  as its decay says would still be .99 of the first weights, which draw noise.
  """
  within, drawn = {}, {}
  for weights in ('raw', 'ema'):
    run = open_run(early.workdir, weights, settings={'sampling_steps': 18})
    x = np.asarray(run.sample(keys.key(0, 'sample'), (60,)))
    drawn[weights] = x
    within[weights] = 127.5 * x.std((1, 2)).mean()
  assert np.abs(drawn['raw'] - drawn['ema']).max() > 1e-3
  assert within['raw'] < 10
  assert within['ema'] < 1.5 * within['raw']


CLASSES = {'blue': (20, 40, 200), 'red': (200, 40, 20)}


def write_classes(folder, mixed):
  """Files of two colours, a class each or mixed over both classes."""
  rng = np.random.default_rng(0)
  for i in range(200):
    name = [*CLASSES][i % 2]
    pixels = np.array(CLASSES[name]) + rng.integers(-20, 21, 3)
    of = folder / ([*CLASSES][i // 2 % 2] if mixed else name)
    of.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (4, 4), tuple(map(int, pixels))).save(of / f'{i}.png')
  return folder


@pytest.mark.slow
@pytest.mark.parametrize('mixed, steps, said', [
    (False, 300, 'by chance it would be 50.0%'),
    (False, 8, 'no more than chance, so the model seems to ignore the classes'),
    (True, 300, 'which real images do not surely pass either: their classes '
     'do not show, or too few are held out')])
def test_classes_that_are_ignored_or_do_not_show_are_told(
    run, tmp_path, mixed, steps, said):
  """Of a model that has learnt them, of one that has not, and of files that
  were mixed over them."""
  folder = write_classes(tmp_path / 'in', mixed)
  result = run(train_diffusion, f'--workdir={tmp_path}/run',
               f'--data=folder:{folder}', '--preset=digits', '--image_size=4',
               '--network=dit', '--patch_size=4', '--head_dim=16', '--width=64',
               '--optimizer=muon', '--learning_rate=0.01', '--warmup=5',
               f'--steps={steps}', f'--save_every={steps}')
  assert result.code == 0, result.err
  result = run(sample, f'--workdir={tmp_path}/run', '--steps=18',
               f'--out={tmp_path}/x.npz')
  assert result.code == 0, result.err
  assert result.out.splitlines()[-1].endswith(said), result.out
