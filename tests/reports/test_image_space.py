"""The measures of closeness against brute force."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from genjax import image_distance
from genjax.data import changes
from genjax.data import embedded
from genjax.data import pipeline
from genjax.reports import image_space
from genjax.reports.image_sets import Images


def digits(split, num):
  arrays = embedded.digits(split).arrays
  return Images(pipeline.to_model_range(arrays['image'][:num]),
                arrays['label'][:num])


def flat(x):
  return x.reshape(len(x), -1)


@pytest.fixture(scope='module')
def sets():
  return digits('train', 300), digits('test', 60)


def test_compare_finds_the_neighbours_and_accuracy_of_sklearn(sets):
  """In pixels, where scikit-learn computes the same; no two are as near."""
  train, test = sets
  model = KNeighborsClassifier(5).fit(flat(train.x), train.label)
  distance = image_distance.distances(flat)['pixel L2']
  found, measures = image_space.compare(distance, train, test, {}, k=5)
  np.testing.assert_array_equal(
      found, model.kneighbors(flat(test.x), return_distance=False))
  assert measures['5-NN accuracy'].value == pytest.approx(
      model.score(flat(test.x), test.label))


@pytest.mark.parametrize('name', ['pixel L2', '1 - SSIM', 'features'])
def test_compare_measures_by_the_mean_between_classes(name, sets):
  """Ratios of float32 distances, to their roundings."""
  train, test = (Images(s.x[:20], s.label[:20]) for s in sets)
  distance = image_distance.distances(lambda x: flat(x)[:, ::3])[name]
  changed = changes.change(test.x, np.random.default_rng(0))
  _, measures = image_space.compare(distance, train, test, changed, k=1)

  def pair(x, y):
    return float(distance.between(distance.look(x[None]),
                                  distance.look(y[None]))[0])

  table = np.array([[pair(x, y) for y in train.x] for x in test.x])
  same = test.label[:, None] == train.label
  unit = table[~same].mean()
  want = {key: np.mean([pair(x, y) for x, y in zip(test.x, changed[key])])
          for key in changed}
  want['nearest training image'] = table.min(1).mean()
  want['same class, mean'] = table[same].mean()
  assert set(measures) == {'1-NN accuracy', *want}
  for key, value in want.items():
    assert measures[key].value == pytest.approx(value / unit, rel=1e-4)
    assert measures[key].low < value / unit < measures[key].high
