"""Likeness of samples, on pictures of which it is known how alike they are."""

import math

import numpy as np
import pytest

from genjax.metrics import generalisation as of

SHAPE = (3, 4, 2)
DIM = math.prod(SHAPE)
MEAN = np.random.default_rng(9).normal(size=SHAPE)


def draws(seed, *sizes):
  """Pictures [N, *SHAPE] of independent directions about MEAN."""
  rng = np.random.default_rng(seed)
  return [MEAN + rng.normal(size=(n, *SHAPE)) for n in sizes]


def compared(samples, train, copies=None):
  return of.generalisation(samples, copies or samples, train, MEAN)


def test_similarity_is_the_cosine_of_the_angle_at_the_mean():
  z = np.zeros((3, *SHAPE))
  z[:, 0, 0, 0] = 2
  turned = np.zeros_like(z)
  angles = np.array([0.0, 1.0, math.pi])
  turned[:, 0, 0, 0], turned[:, 2, 3, 1] = np.cos(angles), np.sin(angles)
  found = of.similarity(MEAN + z, MEAN + 5 * turned, MEAN)
  np.testing.assert_allclose(found, np.cos(angles), atol=1e-14)


def test_similarity_heeds_no_unit_and_is_that_of_the_pair_either_way():
  a, b = draws(0, 7, 7)
  want = of.similarity(a, b, MEAN)
  assert (of.similarity(b, a, MEAN) == want).all()
  np.testing.assert_allclose(
      of.similarity(3e-9 * a, 3e-9 * b, 3e-9 * MEAN), want, rtol=1e-12)
  np.testing.assert_allclose(
      of.similarity(MEAN + 7 * (a - MEAN), 2 * MEAN - b, MEAN), -want,
      rtol=1e-9, atol=1e-12)


def test_similarity_of_independent_directions_is_zero_on_average():
  """Of uniform directions a cosine has mean 0 and variance 1 / D."""
  a, b = draws(1, 4000, 4000)
  cosines = of.similarity(a, b, MEAN)
  error = 1 / math.sqrt(DIM * len(a))
  assert abs(cosines.mean()) < 4 * error
  # The fourth moment is 3 / (D (D + 2)), less than that of a normal.
  np.testing.assert_allclose(np.mean(cosines**2), 1 / DIM,
                             rtol=4 * math.sqrt(2 / len(a)))


def test_the_most_similar_of_copies_are_the_copies(monkeypatch):
  train, others = draws(2, 30, 9)
  order = np.random.default_rng(3).permutation(30)
  for chunk in (2**24, 7 * DIM):  # one chunk, and several
    monkeypatch.setattr(of, '_CHUNK', chunk)
    found, place = of.most_similar(train[order], train, MEAN)
    np.testing.assert_allclose(found, 1, atol=1e-14)
    assert (place == order).all()
    found, place = of.most_similar(others, train, MEAN)
    table = np.stack([of.similarity(np.broadcast_to(x, train.shape), train,
                                    MEAN) for x in others])
    np.testing.assert_allclose(found, table.max(1), rtol=1e-12)
    assert (place == table.argmax(1)).all()


def test_what_has_no_direction_is_no_number(monkeypatch):
  a, b = draws(4, 5, 8)
  a[0], a[1, 0, 0, 0] = MEAN, np.nan
  b[2] = np.inf
  assert np.isnan(of.similarity(a, b[:5], MEAN)).tolist() == [
      True, True, True, False, False]
  for chunk in (2**24, DIM):
    monkeypatch.setattr(of, '_CHUNK', chunk)
    assert np.isnan(of.most_similar(a, b, MEAN)[0]).all()
    found, _ = of.most_similar(a, b[3:], MEAN)
    assert np.isnan(found).tolist() == [True, True, False, False, False]


def test_one_model_of_its_data_agrees_and_two_that_copy_do_not():
  first, second = draws(5, 40, 40)
  rows = np.random.default_rng(6).integers(0, 40, (2, 200))
  agree = compared((first, first), (first, second))
  np.testing.assert_allclose(agree.same_noise, 1, atol=1e-12)
  assert agree.other_noise.low < 0 < agree.other_noise.high
  copy = compared((first[rows[0]], second[rows[1]]), (first, second),
                  (first, first))
  np.testing.assert_allclose(copy.nearest, 1, atol=1e-12)
  np.testing.assert_allclose(copy.copies, 1, atol=1e-12)
  # Four standard errors: of 200 pairs each has variance 1 / D.
  assert abs(copy.same_noise.value) < 4 / math.sqrt(200 * DIM)
  assert abs(copy.other_noise.value) < 4 / math.sqrt(200 * DIM)
  # Fresh directions are as similar to the nearest of 40 as to any set's.
  near = of.most_similar(draws(7, 3000)[0], first, MEAN)[0]
  assert copy.fresh.high < 0.9
  assert abs(copy.fresh.value - near.mean()) < 4 * near.std() / math.sqrt(40)


def test_samples_of_other_noise_are_told_the_same():
  """Two classes, each its own direction: all that other noise shares."""
  axes = np.eye(DIM)[:2].reshape(2, *SHAPE)
  a = MEAN + axes[np.array([0, 0, 1, 1])]
  found = compared((a, a), (a, a))
  assert found.other_noise == found.same_noise == (1, 1, 1)
  found = compared((a, a[[2, 3, 0, 1]]), (a, a))
  assert found.other_noise == found.same_noise == (0, 0, 0)
  b = MEAN + axes[np.array([0, 1, 1, 0])]  # of either class a pair crossed
  found = compared((a, b), (a, a))
  assert found.same_noise.value == found.other_noise.value == 0.5
  assert found.same_noise.high > 1 and found.other_noise == (0.5, 0.5, 0.5)


@pytest.mark.parametrize('call', [
    lambda a: of.similarity(a, a[:3], MEAN),
    lambda a: of.similarity(a, a, MEAN[0]),
    lambda a: of.most_similar(a, a[:0], MEAN),
    lambda a: of.most_similar(a, a[:, :2], MEAN),
    lambda a: compared((a[:5], a[:5]), (a, a)),
    lambda a: compared((a[:2], a[:2]), (a, a)),
    lambda a: compared((a, a), (a, a[:1]))])
def test_what_does_not_fit_is_refused(call):
  with pytest.raises(ValueError, match='must'):
    call(draws(8, 6)[0])
