"""The study of models of disjoint halves, on denoisers that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import pipeline
from genjax.data.sources import ArraySource
from genjax.diffusion import exact
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.metrics.estimate import Estimate
from genjax.metrics.generalisation import Generalisation
from genjax.reports import generalise
from genjax.reports import generalise_models
from genjax.runs import diffusion_settings

RECIPE = diffusion_settings.Settings(shape=(6, 6, 3))
SHAPE = RECIPE.shape
DIM = 108
EDM = process.edm(0.01, 20.0)


def source_of(num, seed=0):
  """Independent pictures of independent pixels."""
  rng = np.random.default_rng(seed)
  return ArraySource({'image': rng.integers(0, 256, (num, *SHAPE), np.uint8)})


def exact_trainer(truth):
  """Models whose denoiser is that of `truth`, of pictures [N, D]."""

  @jax.jit
  def draw(points, key, index):
    key_prior, key_steps = jax.random.split(key)
    x = process.prior_sample(key_prior, EDM, (len(index), DIM), index=index)
    return samplers.sample(key_steps, samplers.dpm_solver_2m(EDM),
                           truth(points), x, EDM.grid(18), index=index).x

  def make(source, folder, seed):
    del folder, seed
    points = pipeline.full_batch(source)['x'].reshape(-1, DIM)

    def sample(key, shape=(), cond=None):
      assert cond is None
      return draw(points, key, jnp.arange(*shape)).reshape(*shape, *SHAPE)

    return sample

  return make


def repeat(source, folder, seed):
  """A model that gives its images in turn."""
  del folder, seed
  return lambda key, shape, cond: pipeline.full_batch(source)['x'][
      np.arange(*shape) % len(source)]


def study(train, workdir, source, copy=repeat, **values):
  settings = generalise.Settings(num_samples=60, **values)
  halves = generalise.divide(source, settings.sizes, settings.seed)
  return generalise.study(settings, train, copy, source, halves, str(workdir),
                          lambda line: None)


def test_exact_denoisers_of_two_finite_sets_copy_and_do_not_agree(tmp_path):
  found = study(exact_trainer(lambda x: exact.finite_dataset(EDM, x).denoiser),
                tmp_path, source_of(80), generalise_models.copier(RECIPE),
                sizes=(8,))
  likeness, pictures = found[8]
  # The same by the road of the runs.
  np.testing.assert_allclose(likeness.copies, likeness.same_noise, atol=1e-3)
  # Every sample is a training image, up to a level of 255.
  assert likeness.nearest.low > 1 - 2e-5
  np.testing.assert_allclose(pictures[0], pictures[1], atol=1)
  np.testing.assert_allclose(pictures[3], pictures[2], atol=1)
  assert np.unique(pictures[1], axis=0).shape[0] > 4
  # Cosines of the 8 x 8 pairs of points have variance 1 / D about 0, and the
  # two points that are nearest to one noise share 2 ln 8 / D by it.
  chance = 4 / np.sqrt(DIM * 8) + 2 * np.log(8) / DIM
  assert abs(likeness.same_noise.value) < chance
  assert abs(likeness.other_noise.value) < chance
  # The largest of 8 normal cosines is sqrt(2 ln 8 / D) at most on average.
  assert likeness.fresh.value < np.sqrt(2 * np.log(8) / DIM) + 0.1


def test_exact_denoisers_of_one_law_draw_the_same_pictures(tmp_path):
  source = source_of(80)
  mean = pipeline.full_batch(source)['x'].mean(0).ravel()
  law = exact.gaussian(EDM, mean, 0.1 * jnp.eye(DIM))
  found = study(exact_trainer(lambda x: law.denoiser), tmp_path, source,
                sizes=(8,))
  likeness, pictures = found[8]
  np.testing.assert_allclose(likeness.same_noise, 1, atol=1e-12)
  assert (pictures[1] == pictures[2]).all()
  # Cosines of independent directions: 60 pairs of variance 1 / D about 0.
  assert abs(likeness.other_noise.value) < 4 / np.sqrt(60 * DIM)
  # About the mean of the training images, of which no sample knows one.
  assert likeness.nearest.high < np.sqrt(2 * np.log(8) / DIM) + 0.1


def test_what_was_drawn_is_not_drawn_again(tmp_path):
  source, calls = source_of(40), []

  def train(part, folder, seed):
    calls.append(folder)
    if len(calls) == 4:
      raise KeyboardInterrupt
    return repeat(part, folder, seed)

  with pytest.raises(KeyboardInterrupt):
    study(train, tmp_path, source, sizes=(5, 3))
  whole = study(train, tmp_path, source, sizes=(5, 3))
  assert [folder[-5:] for folder in calls] == [
      'n_3/a', 'n_3/b', 'n_5/a', 'n_5/b', 'n_5/b']
  again = study(None, tmp_path, source, None, sizes=(5, 3))
  for size in (3, 5):
    assert again[size][0] == whole[size][0]
    assert (again[size][1] == whole[size][1]).all()


def classes(counts, seed=0):
  """A source whose pictures are their own places, of classes in any order."""
  label = np.random.default_rng(seed).permutation(
      np.repeat(np.arange(len(counts)), counts))
  image = np.zeros((len(label), 1, 2, 1), np.uint8)
  image[:, 0, 0, 0], image[:, 0, 1, 0] = np.divmod(np.arange(len(label)), 256)
  return ArraySource({'image': image, 'label': label},
                     tuple(f'class {k}' for k in range(len(counts))))


@pytest.mark.parametrize('counts', [(40, 40, 40), (101, 30, 7, 1), (9,)])
def test_halves_are_disjoint_and_of_the_same_classes(counts):
  source = classes(counts)
  label = source.arrays['label']
  pairs = sum(count // 2 for count in counts)
  first, second = halves = generalise.divide(source, (pairs,), 0)
  assert halves.shape == (2, pairs)
  assert len(np.unique(halves)) == 2 * pairs
  assert (label[first] == label[second]).all()
  for n in range(1, pairs + 1):
    # Of the place of each class all but one are decided by those before it.
    shares = np.array([count // 2 for count in counts]) * n / pairs
    held = np.bincount(label[first[:n]], minlength=len(counts))
    assert (np.abs(held - shares) < len(counts)).all()
  assert (generalise.divide(source, (2,), 1) != halves).any()
  with pytest.raises(ValueError, match=f'sizes: must be at most {pairs}, .*got '
                     f'{pairs + 1}'):
    generalise.divide(source, (2, pairs + 1), 0)


def test_models_are_told_the_same_classes_twice_each(tmp_path):
  """And draw with the same key, of images of which they share none."""
  source, asked = classes((30, 20, 2)), []

  def train(part, folder, seed):
    del folder

    def sample(key, shape=(), cond=None):
      assert len(asked) % 2 == seed  # of study 0
      asked.append((jax.random.key_data(key), np.asarray(cond['label']),
                    {x.tobytes() for x in part.arrays['image']}, part))
      noise = np.random.default_rng(seed).uniform(-1, 1, (*shape, 1, 2, 1))
      return noise.astype(np.float32)

    return sample

  study(train, tmp_path, source, sizes=(4, 20), conditional=True)
  for (key, label, mine, part), (other_key, other_label, other, _) in (
      asked[:2], asked[2:]):
    assert (key == other_key).all() and (label == other_label).all()
    assert len(mine) == len(other) == len(mine | other) / 2
    assert (label[::2] == label[1::2]).all()
    held = part.arrays['label']
    assert set(label.tolist()) == set(held.tolist())


def test_copiers_give_images_of_the_class_that_they_are_told(monkeypatch):
  monkeypatch.setattr(generalise_models, '_BLOCK', 4)
  image = source_of(9).arrays['image']
  source = ArraySource({'image': image, 'label': np.arange(9) % 3},
                       ('a', 'b', 'c'))
  sample = generalise_models.copier(RECIPE)(source, '', 0)
  asked = np.array([2, 0, 0, 2, 2, 0, 2, 2, 0])
  found = pipeline.to_uint8(sample(jax.random.key(0), (9,), {'label': asked}))
  away = np.abs(found[:, None].astype(int) - image).max((2, 3, 4))
  assert away.min(1).max() <= 1
  assert (away.argmin(1) % 3 == asked).all()
  assert len(set(away.argmin(1))) > 3


def test_verdicts_are_what_the_intervals_say():
  def about(**values):
    return Generalisation(**{name: Estimate(x, x - .04, x + .04)
                             for name, x in values.items()})

  said = generalise.verdicts({
      20: about(same_noise=.5, copies=.46, other_noise=0, nearest=.9, fresh=.7),
      60: about(same_noise=.7, copies=.6, other_noise=0, nearest=.72, fresh=.7),
      200: about(same_noise=.9, copies=.6, other_noise=0, nearest=.6, fresh=.7)
  })
  assert [line.rpartition(': ')[2] for line in said] == [
      '20', '200', '60, 200', '200']
  nothing = about(**dict.fromkeys(Generalisation._fields, 0))
  assert all(line.endswith('at no size')
             for line in generalise.verdicts({20: nothing}))
