"""Classifiers and fits of curves as runs."""

import shutil

import jax
import numpy as np
from PIL import Image
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.runs import classifier
from genjax.runs.classifier_data import open_data
from genjax.runs.classifier_data import settings_for
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run
from genjax.training.logs import read_metrics

SMALL = {'width': (4,), 'batch_size': 8, 'steps': 3, 'features': 5}


@pytest.fixture(name='trained', scope='module')
def train(tmp_path_factory):
  """(workdir, settings, pictures) of a run whose data are gone."""
  root = tmp_path_factory.mktemp('run')
  pictures = np.random.default_rng(0).integers(
      0, 256, (12, 8, 8, 3)).astype(np.uint8)
  for i, picture in enumerate(pictures):
    folder = root / 'data' / 'cat dog'.split()[i % 2]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(folder / f'{i}.png')
  chosen = {**SMALL, 'data': f'folder:{root}/data', 'image_size': (8,),
            'held_out': 0.25}
  data = open_data(chosen)
  settings = settings_for(data, chosen)
  fit_run(classifier.TASK, settings, data, str(root / 'run'))
  shutil.rmtree(root / 'data')
  return str(root / 'run'), settings, pictures


def test_a_run_predicts_with_its_data_gone(trained):
  """What Flax makes of the network with the averages that were kept."""
  workdir, settings, pictures = trained
  run = open_run(workdir)
  assert run.settings == settings and run.step == 3
  assert run.settings.class_names == ('cat', 'dog')
  x = pictures / np.float32(127.5) - 1
  network = classifier.build(settings).parts
  logits = {weights: np.asarray(jax.jit(network.logits)(
      open_run(workdir, weights).params, x)) for weights in ('ema', 'raw')}
  assert logits['ema'].shape == (12, 2)
  np.testing.assert_array_equal(run.predict(x), logits['ema'])
  assert not np.allclose(logits['ema'], logits['raw'])
  assert (run.sample, run.log_prob, run.encode, run.denoiser) == (None,) * 4
  record, = (r for r in read_metrics(f'{workdir}/metrics.jsonl')
             if 'test/loss' in r)
  assert record['step'] == 3 and 0 <= record['test/accuracy'] <= 1


def test_settings_are_those_of_the_recipe_that_goes_with_the_data():
  digits = named.Data(embedded.digits('train'), embedded.digits('test'))
  images = settings_for(digits, {'seed': 3})
  assert images == classifier.Settings(
      seed=3, class_names=tuple(map(str, range(10))), num_examples=1500)
  for chosen, recipe in (({'data': 'toy:moons'}, 'points'),
                         ({'task': 'regression'}, 'curve')):
    found = settings_for(open_data(chosen), chosen)
    assert {name: getattr(found, name) for name in classifier.RECIPES[recipe]
            } == classifier.RECIPES[recipe]
    assert (found.shape, found.num_examples) == ((2,), 1000)


@pytest.mark.parametrize('chosen, said', [
    ({'activation': 'tanh'}, '^activation: must be absent for images'),
    ({'width': ()}, '^width: must hold a level'),
    ({'label_smoothing': 1.5}, '^label_smoothing: must be'),
    ({'data': 'toy:moons', 'dropout': 0.1}, '^dropout: must be absent for p'),
    ({'data': 'toy:moons', 'held_out': 0.1}, '^held_out: must be absent'),
    ({'task': 'regression', 'mixup': 0.1}, '^mixup: .* a regression'),
    ({'task': 'regression', 'data': 'digits'}, '^data: must be a toy set'),
    ({'image_size': (10**6,)}, '^image_size: must be'),
])
def test_settings_that_do_not_fit_are_refused_by_name(chosen, said):
  with pytest.raises(ValueError, match=said):
    classifier.build(settings_for(open_data(chosen), chosen))


@pytest.mark.parametrize('name, curve', [
    ('line', lambda x: 0.8 * x - 0.3), ('wave', lambda x: np.sin(2 * x))])
def test_points_of_a_curve_lie_on_it(name, curve):
  data = open_data({'task': 'regression', 'data': f'toy:{name},noise=0'})
  assert len(data.train) == 1000
  for source in data:
    x, y = source.arrays['x'].T
    np.testing.assert_allclose(y, curve(x), atol=1e-5)
  assert not np.any(np.isin(data.train.arrays['x'][:, 0],
                            data.test.arrays['x'][:, 0]))


def test_toy_sets_take_the_options_of_every_script():
  spec = 'spirals,turns=0.5,noise=0,points=50'
  data = open_data({'data': f'toy:{spec}'})
  other = named.open_data(f'toy:{spec}', image_size=None, held_out=0, seed=0)
  x, label = (data.train.arrays[k] for k in ('x', 'label'))
  np.testing.assert_array_equal(other.train.arrays['x'], x)
  assert len(data.train) == len(data.test) == 50
  assert len(other.test) == 4  # a sixteenth
  # Half a turn: the first arm stays in the upper half plane.
  assert np.all(np.where(label == 0, x[:, 1], -x[:, 1]) > -1e-5)
