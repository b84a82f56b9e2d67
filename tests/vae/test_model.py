"""A VAE as pure functions: shapes, labels, and what does not fit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.autoencoder import ConvDecoder
from genjax.networks.autoencoder import ConvEncoder
from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.types import Context
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import VAEParams
from genjax.vae.model import make_vae
from genjax.vae.objectives import make_elbo_loss

_SHAPE = (8, 8, 1)
_NETWORKS = {
    'mlp': (partial(MLPEncoder, widths=(8,)),
            partial(MLPDecoder, shape=_SHAPE, widths=(8,))),
    'conv': (partial(ConvEncoder, channels=(4, 8), groups=4),
             partial(ConvDecoder, shape=_SHAPE, channels=(4, 8), groups=4)),
}


def _model(network='mlp', num_classes=3, **parts):
  encoder, decoder = _NETWORKS[network]
  return make_vae(
      partial(encoder, num_classes=num_classes),
      partial(decoder, num_classes=num_classes), **{
          'posterior': posteriors.diagonal(2),
          'prior': priors.standard_normal(2),
          'likelihood': likelihoods.discretized_logistic(17),
          'event_ndims': 3, 'num_classes': num_classes, **parts})


def _images(num=6):
  levels = np.random.default_rng(0).integers(0, 17, (num, *_SHAPE))
  return np.float32(levels / 8 - 1), jnp.asarray(np.arange(num) % 3)


@pytest.mark.parametrize('network', _NETWORKS)
def test_vae_maps_batches_of_images(network):
  vae = _model(network)
  x, label = _images()

  @jax.jit
  def through(x, label):
    params = vae.init(jax.random.key(1), x, label)
    q = vae.encode(params, x, label)
    z = vae.posterior.dist.sample(jax.random.key(2), q, (5,))
    p = vae.decode(params, z, label)
    drawn = vae.likelihood.sample(jax.random.key(3), p)
    return (z, vae.likelihood.log_prob(p, x), drawn, vae.likelihood.mean(p),
            p.loc[2], vae.decode(params, z[2], label).loc)

  z, nats, drawn, mean, third, alone = through(x, label)
  assert z.shape == (5, 6, 2) and nats.shape == (5, 6)
  assert drawn.shape == mean.shape == (5, 6, *_SHAPE)
  np.testing.assert_allclose(third, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('network', _NETWORKS)
def test_vae_knows_the_class(network):
  """And a label equal to the number of classes is no label."""
  vae = _model(network)
  x, label = _images()
  params = jax.jit(vae.init)(jax.random.key(1), x, label)
  z = jnp.zeros((6, 2))
  encode, decode = jax.jit(vae.encode), jax.jit(vae.decode)
  by_class = decode(params, z, label).loc
  assert np.abs(by_class[0] - by_class[1]).max() > 1e-3
  np.testing.assert_allclose(by_class[0], by_class[3], rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(
      decode(params, z).loc, decode(params, z, jnp.full(6, 3)).loc)
  assert np.abs(encode(params, x, label).loc
                - encode(params, x).loc).max() > 1e-3


@pytest.mark.parametrize('network', _NETWORKS)
def test_vae_knows_shares_of_classes(network):
  """All of one class is that class; half and half is neither of the two."""
  vae = _model(network)
  x, label = _images()
  params = jax.jit(vae.init)(jax.random.key(1), x, label)
  z = jax.random.normal(jax.random.key(2), (5, 6, 2))
  encode, decode = jax.jit(vae.encode), jax.jit(vae.decode)
  whole = jax.nn.one_hot(label, 3)
  np.testing.assert_array_equal(encode(params, x, whole).loc,
                                encode(params, x, label).loc)
  np.testing.assert_array_equal(decode(params, z, whole).loc,
                                decode(params, z, label).loc)
  between = decode(params, z, (whole + whole[::-1]) / 2).loc
  for end in (label, label[::-1]):
    assert np.abs(between - decode(params, z, end).loc).max() > 1e-3
  for of_others in (whole[:, :2], whole[:4], label / 3):
    with pytest.raises(ValueError, match=r'float32 must be \[6, 3\]'):
      vae.encode(params, x, of_others)


def test_vae_knows_only_the_classes_that_there_are():
  """Labels 0..K, of which K is "no class"; others give NaN, not "no class"."""
  vae, x = _model(), jnp.zeros((4, 8, 8, 1))
  params = jax.jit(vae.init)(jax.random.key(0), x)
  encode = jax.jit(vae.encode)
  q = encode(params, x, jnp.asarray([2, 3, 4, -1]))
  np.testing.assert_array_equal(np.isnan(q.loc).all(1), [0, 0, 1, 1])
  np.testing.assert_allclose(q.loc[1], encode(params, x).loc[1], atol=1e-6)


def test_vae_takes_data_of_any_dtype_as_float32():
  """Black and white, which every dtype has: inputs, loss and bound."""
  prior = priors.vamp(2, 3)
  vae = make_vae(
      partial(MLPEncoder, widths=()),
      partial(MLPDecoder, shape=(2, 2, 1), widths=()),
      posterior=posteriors.diagonal(2), prior=prior,
      likelihood=likelihoods.bernoulli(), event_ndims=3)
  key, x = jax.random.key(0), jnp.asarray(np.arange(16) % 3 % 2 * 2.0 - 1)
  x = x.reshape(4, 2, 2, 1)
  params, index = jax.jit(vae.init)(key, x), jnp.arange(4)
  loss_fn, dist = make_elbo_loss(vae), as_distribution(vae, key, num_samples=2)

  @jax.jit
  def of(x):
    return (prior.init(key, x), dist.log_prob(VAEParams(params), x),
            loss_fn(params, key, {'x': x, 'index': index, 'cond': {}},
                    Context())[0])

  want = jax.tree.leaves(of(x))
  for dtype in (jnp.bfloat16, jnp.int32):
    for a, b in zip(jax.tree.leaves(of(x.astype(dtype))), want):
      assert a.dtype == jnp.float32
      np.testing.assert_allclose(a, b, rtol=1e-5)  # summed in another order


def test_vae_without_classes_refuses_a_label():
  vae = _model(num_classes=None)
  x, label = _images()
  params = jax.jit(vae.init)(jax.random.key(1), x)
  with pytest.raises(ValueError, match='label must be absent without classes'):
    vae.encode(params, x, label)


def test_vamp_prior_of_a_conditional_model_has_inputs_of_every_class():
  vae = _model(prior=priors.vamp(2, 5))
  x, label = _images()
  params = jax.jit(vae.init)(jax.random.key(1), x, label)
  components = vae.prior_params(params).components
  expected = vae.encode(params, params['prior']['inputs'],
                        jnp.array([0, 1, 2, 0, 1]))
  np.testing.assert_array_equal(components.loc, expected.loc)


def test_make_vae_needs_codes_of_one_length():
  with pytest.raises(ValueError, match='make_vae: posterior and prior must be '
                     'of codes of one length, got 2 and 3'):
    _model(prior=priors.standard_normal(3))


def test_vae_needs_networks_of_its_outputs():
  x, _ = _images()
  vae = make_vae(
      lambda _: MLPEncoder(3, (8,)), partial(MLPDecoder, shape=(64,)),
      posterior=posteriors.diagonal(2), prior=priors.standard_normal(2),
      likelihood=likelihoods.gaussian(), event_ndims=3)
  params = jax.jit(vae.init)(jax.random.key(1), x)
  with pytest.raises(ValueError, match='the encoder must give'):
    vae.encode(params, x)
  with pytest.raises(ValueError, match='an event of rank 3'):
    vae.decode(params, jnp.zeros((2, 2)))


@pytest.mark.parametrize('network', [
    ConvEncoder(2, (4, 8), 4), ConvDecoder(1, (6, 5, 1), (4, 8), 4)])
def test_convolutions_need_sizes_that_halve(network):
  x = jnp.zeros((1, 6, 5, 1)) if isinstance(network, ConvEncoder) else (
      jnp.zeros((1, 2)))
  with pytest.raises(ValueError, match='height and width must be multiples'):
    network.init(jax.random.key(0), x)
