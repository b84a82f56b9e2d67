"""Laws of the layers that keep the magnitude of what passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import magnitude_preserving as mp
from genjax.networks.embeddings import ClassEmbedding


def test_silu_of_a_normal_number_has_mean_square_one():
  """By Gauss and Hermite; .596 is rounded to three digits."""
  z, weights = np.polynomial.hermite_e.hermegauss(60)
  square = np.square(mp.mp_silu(jnp.asarray(z, jnp.float32)))
  assert abs(weights @ square / weights.sum() - 1) < 2 * 0.0005 / 0.596


@pytest.mark.parametrize('share', [0.1, 0.3, 0.5, 0.9])
def test_a_sum_of_what_is_orthogonal_keeps_the_magnitude(share):
  """And is the share's part of the way from one to the other."""
  a, b = np.float32([[1, 1, 1, 1], [1, -1, 1, -1]])
  out = np.asarray(mp.mp_sum(a, b, share))
  np.testing.assert_allclose(np.mean(out**2), 1, rtol=1e-6)
  np.testing.assert_allclose(out @ b / (out @ a), share / (1 - share),
                             rtol=1e-6)


def test_what_is_joined_counts_by_halves():
  """Of 3 and of 24 channels, whose mean square stays."""
  rng = np.random.default_rng(0)
  a, b = (mp.pixel_norm(jnp.asarray(rng.normal(size=(5, n)), jnp.float32))
          for n in (3, 24))
  out = np.asarray(mp.mp_cat(a, b))
  np.testing.assert_allclose(np.mean(out**2, 1), 1, rtol=1e-5)
  np.testing.assert_allclose(np.sum(out[:, :3]**2, 1),
                             np.sum(out[:, 3:]**2, 1), rtol=1e-5)


def test_pixels_are_normalised_each_alone_and_zero_stays_zero():
  x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 8)) * 7,
                  jnp.float32).at[0, 1, 1].set(0)
  square = np.mean(np.square(mp.pixel_norm(x)), -1)
  np.testing.assert_allclose(square.ravel()[np.arange(18) != 4], 1, rtol=1e-5)
  slope = jax.grad(lambda x: mp.pixel_norm(x).sum())(x)
  assert square[0, 1, 1] == 0 and np.isfinite(slope).all()


@pytest.mark.parametrize('dim', [24, 192])
def test_fourier_features_have_mean_square_one_and_the_published_law(dim):
  """Mean square: 1 + the mean of cosines at even phases, which is as small as
  that of random ones. Between two numbers their mean product is exp(-(2 pi d)^2
  / 2), the characteristic function of normal frequencies, to the like."""
  u = jnp.linspace(-2.5, 2.5, 41)  # log-SNR from -20 to 20
  features = np.asarray(mp.fourier_features(u, dim), np.float64)
  products = features @ features.T / dim
  wanted = np.exp(-np.square(2 * np.pi * (u[:, None] - u)) / 2)
  assert features.shape == (41, dim)
  assert np.abs(products - wanted).max() < 4 / np.sqrt(dim)
  assert np.abs(products - wanted).mean() < 1 / np.sqrt(dim)


@pytest.mark.parametrize('window', [(), (3, 3)])
def test_a_layer_has_weights_of_norm_one(window):
  """Said by what it makes of single ones, far from borders; a gain of zero
  makes nothing, and one of two twice as much."""
  layer = mp.Linear(5, window)
  x = np.zeros((3, 7, 7, 3), np.float32)
  x[range(3), 3, 3, range(3)] = 1
  variables = layer.init(jax.random.key(0), x)
  stored = variables['params']['direction']
  np.testing.assert_allclose(
      np.mean(np.square(stored), tuple(range(stored.ndim - 1))), 1, rtol=1e-5)
  out = layer.apply(jax.tree.map(lambda w: 3 * w, variables), x)
  np.testing.assert_allclose(np.sum(np.square(out), (0, 1, 2)), 1, rtol=1e-5)
  gained = mp.Linear(5, window, gained=True)
  assert not np.any(gained.init_with_output(jax.random.key(0), x)[0])
  params = {'params': {'direction': stored, 'gain': jnp.asarray(2.0)}}
  np.testing.assert_allclose(gained.apply(params, x), 2 * out, rtol=1e-5)


def test_what_is_told_is_of_mean_square_one_each():
  """Classes over all of them; what is absent by itself; the change of an image
  adds nothing at first. Noise, classes and a vector of independent numbers
  then are joined to the same again."""
  module = mp.Embedding(64, 4096, 7, 5, 9)
  rng = np.random.default_rng(0)
  noise = jnp.asarray(rng.normal(size=64), jnp.float32)
  vector = rng.choice([-1, 1], (64, 5)).astype(np.float32)
  cond = {'label': jnp.arange(64) % 7, 'vector': vector,
          'augment': rng.normal(size=(64, 9)).astype(np.float32),
          'absent': jnp.arange(64) % 3 == 0}
  out, variables = jax.jit(module.init_with_output)(
      jax.random.key(0), noise, cond)
  params = variables['params']
  np.testing.assert_allclose(
      np.mean(np.square(params['class_embedding']['direction']), 0), 1,
      rtol=1e-5)
  # Of 4096 channels the mean square of random sums is 1 to 4 sqrt(2 / 4096),
  # and a class, or Fourier features, have theirs to 4 sqrt(2 / 64) or so.
  square = np.mean(np.square(out))
  assert abs(square - 1) < 0.1, square
  plain = module.apply(variables, noise, cond | {'augment': 0 * cond[
      'augment']})
  np.testing.assert_allclose(plain, out, atol=1e-5)
  # What a class has is looked up as in the other networks.
  table = params['class_embedding']['direction']
  rows = mp._Classes(7, 4096).apply(
      {'params': {'direction': table}}, cond['label'], cond['absent'])
  np.testing.assert_allclose(rows, ClassEmbedding(7, 4096).apply(
      {'params': {'embedding': table}}, cond['label'], cond['absent']),
                             rtol=1e-5)
