"""Scores of many examples, where the evidence p(x) is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.data.sources import ArraySource
from genjax.vae import scores
from tests.vae import linear

_KEY = jax.random.key(7)
_VAE = linear.linear_vae(2, 5)
_WEIGHT, _MEAN, _SCALE = linear.some_law()
_LAW = stats.multivariate_normal(
    _MEAN, _WEIGHT @ _WEIGHT.T + _SCALE**2 * np.eye(5))
_X = _LAW.rvs(230, random_state=0).astype(np.float32)  # two blocks and a part


def as_it_is(key, batch):
  del key
  return batch


@pytest.fixture(name='params')
def _params():
  return linear.exact_params(_WEIGHT, _MEAN, _SCALE)


@pytest.mark.parametrize('share, num_codes, error', [
    (1.0, 100, 1e-3), (0.85, 5000, 0.1)])
def test_importance_weighted_is_the_evidence_of_every_example(
    params, share, num_codes, error):
  """Of each once: every weight is p(x), where the encoder is exact.

  Where its means follow x too little, to a tenth of a nat by 5,000 codes; the
  ELBO of some examples lacks more.
  """
  params['encoder']['out']['kernel'] *= share
  nats = scores.importance_weighted(
      _VAE, as_it_is, _KEY, params, ArraySource({'x': _X}), shape=(5,),
      num_codes=num_codes)
  assert len(nats) == len(_X)
  np.testing.assert_allclose(np.sort(nats), np.sort(_LAW.logpdf(_X)),
                             atol=error)


def test_of_much_work_a_hundred_examples_must_do(params, monkeypatch):
  monkeypatch.setattr(scores, '_WORK', 10)
  nats = scores.importance_weighted(
      _VAE, as_it_is, _KEY, params, ArraySource({'x': _X}), shape=(5,),
      num_codes=50)
  assert len(nats) == 100
  gap = np.abs(nats[:, None] - _LAW.logpdf(_X)).min(1)
  assert gap.max() < 1e-3


def test_terms_make_up_the_evidence_and_codes_are_posterior_means(params):
  """In the mean: terms are averages over ten codes."""
  score = scores.make_scores(_VAE, as_it_is, _KEY)
  source = ArraySource({'x': _X})
  found = score(params, source)
  assert [len(leaf) for leaf in found] == [230] * 4
  want = (_X - _MEAN) @ _WEIGHT / (np.sum(_WEIGHT**2, 0) + _SCALE**2)
  order, expected = (np.lexsort(z.T) for z in (found.code, want))
  np.testing.assert_allclose(found.code[order], want[expected], atol=1e-4)
  gap = -(found.reconstruction + found.kl)[order] - _LAW.logpdf(_X)[expected]
  assert abs(gap.mean()) < 4 * gap.std() / 230**0.5
  for again, leaf in zip(score(params, source), found):
    np.testing.assert_array_equal(again, leaf)
  assert scores.active_units(found.code) == 2
  assert scores.active_units(found.code * jnp.array([1, 0])) == 1
  assert scores.active_units(found.code[:1]) is None
