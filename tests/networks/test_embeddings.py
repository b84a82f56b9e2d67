"""Laws of the embeddings of noise level, class and position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import embeddings


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('shift', [0.0, 1.0])
def test_sinusoidal_features_matches_ddpm(flip, shift):
  steps, dim = np.array([0, 1, 37, 999]), 8
  expected = np.zeros((4, dim))
  for i in range(dim // 2):
    # Ho et al.'s get_timestep_embedding, one frequency at a time.
    angle = steps * np.exp(-np.log(10000.0) * i / (dim // 2 - shift))
    sin, cos = (i + dim // 2, i) if flip else (i, i + dim // 2)
    expected[:, sin], expected[:, cos] = np.sin(angle), np.cos(angle)
  sinusoid = embeddings.TIMESTEP._replace(
      flip_sin_to_cos=flip, freq_shift=shift)
  actual = embeddings.sinusoidal_features(
      jnp.asarray(steps, jnp.float32), dim, sinusoid)
  # An angle of 999 in float32 is off by 999 * 2^-24 = 6e-5.
  np.testing.assert_allclose(actual, expected, atol=1.3e-4)


@pytest.mark.parametrize('dtype', [jnp.int32, jnp.bfloat16])
def test_sinusoidal_features_are_float32_of_any_number(dtype):
  """A step is a whole number, a log-SNR may come in half precision."""
  u = jnp.asarray([0, 1, 37, 992]).astype(dtype)
  actual = embeddings.sinusoidal_features(u, 8, embeddings.TIMESTEP)
  assert actual.dtype == jnp.float32
  np.testing.assert_array_equal(actual, embeddings.sinusoidal_features(
      u.astype(jnp.float32), 8, embeddings.TIMESTEP))


def test_sinusoidal_features_tell_log_snrs_apart():
  log_snr = jnp.linspace(-20, 20, 401)
  features = embeddings.sinusoidal_features(log_snr, 16, embeddings.LOG_SNR)
  distances = np.linalg.norm(features[:, None] - features[None], axis=-1)
  apart = np.abs(np.subtract.outer(log_snr, log_snr)) > .99
  # A chord of the fastest wave over one nat is 2 sin(1/2) = .96; over any
  # longer way the slower waves keep the levels at least half as far apart.
  assert distances[apart].min() > .48


@pytest.mark.parametrize('dim', [7, 2, 0])
def test_sinusoidal_features_refuses_dim(dim):
  with pytest.raises(ValueError, match='sinusoidal_features: dim must be'):
    embeddings.sinusoidal_features(jnp.zeros(3), dim, embeddings.LOG_SNR)


def test_position_features_product_depends_on_offset_only():
  h, w, dim = 4, 6, 16
  f = embeddings.position_features(h, w, dim).astype(np.float64)
  products = (f @ f.T).reshape(h, w, h, w)
  # sin a sin b + cos a cos b = cos(a - b).
  np.testing.assert_allclose(
      products[1:, 1:, 1:, 1:], products[:-1, :-1, :-1, :-1], atol=1e-5)
  np.testing.assert_allclose(np.diag(f @ f.T), dim / 2, atol=1e-5)
  assert len(np.unique(f, axis=0)) == h * w
  # Row by row: the first half is constant along a row.
  rows = f.reshape(h, w, dim)[..., :dim // 2]
  np.testing.assert_array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape))
  with pytest.raises(ValueError, match='multiple of 4'):
    embeddings.position_features(h, w, 6)


def test_class_embedding_of_absent_and_of_bad_labels():
  """Where absent the label is not looked at, whatever its dtype holds."""
  module = embeddings.ClassEmbedding(3, 4)
  label = jnp.array([0, 2, 3, 4, -1])
  variables = module.init(jax.random.key(0), label, label < 0)
  table = variables['params']['embedding']
  assert table.shape == (4, 4)
  actual = module.apply(variables, label, jnp.zeros(5, bool))
  np.testing.assert_array_equal(actual[:2], table[jnp.array([0, 2])])
  assert np.isnan(actual[2:]).all()
  none = module.apply(variables, label, jnp.ones(5, bool))
  np.testing.assert_array_equal(none, np.stack([table[3]] * 5))


def test_class_embedding_of_as_many_classes_as_a_byte_counts():
  """The number of "no class" is not in its dtype."""
  module = embeddings.ClassEmbedding(256, 2)
  label = jnp.asarray([255, 255, 0], jnp.uint8)
  absent = jnp.asarray([False, True, True])
  variables = module.init(jax.random.key(0), label, absent)
  table = variables['params']['embedding']
  np.testing.assert_array_equal(
      module.apply(variables, label, absent), table[jnp.array([255, 256, 256])])


def test_zeros_of_a_change_add_nothing():
  """To the last bit, whether zeros are told or nothing; by one more matrix."""
  plain = embeddings.Conditioning(8, 6)
  told = embeddings.Conditioning(8, 6, augment_size=9)
  noise, zeros = jnp.asarray([-3.0, 2.0]), jnp.zeros((2, 9))
  params = told.init(jax.random.key(0), noise, None)['params']
  kernel = params['augment']['kernel']
  assert kernel.shape == (9, 6) and params['augment'].keys() == {'kernel'}
  absent = jnp.zeros(2, bool)
  want = plain.apply({'params': {
      name: part for name, part in params.items() if name != 'augment'}},
                     noise, {'absent': absent})
  for cond in (None, {'absent': absent}, {'absent': absent, 'augment': zeros}):
    got = told.apply({'params': params}, noise, cond)
    np.testing.assert_array_equal(got, want)
  moved = told.apply({'params': params}, noise, {
      'absent': absent, 'augment': zeros.at[1, 3].set(1)}) - want
  assert np.abs(moved[1]).max() > 1e-3 and not moved[0].any()
