"""The contract of feature extractors, and what each of them is."""

import functools

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.cnn import ResNet
from genjax.networks.mlp import ACTIVATIONS
from genjax.networks.mlp import Perceptron

# (extractor, shape of x, F).
EXTRACTORS = {
    'resnet': (ResNet((4, 8), features=6, groups=2), (8, 6, 1), 6),
    'perceptron': (Perceptron((5, 3)), (2,), 3),
}
# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})
each_extractor = pytest.mark.parametrize('name', EXTRACTORS)


def inputs(name, batch=4):
  noise = np.random.default_rng(1)
  return noise.normal(size=(batch, *EXTRACTORS[name][1])).astype(np.float32)


@functools.cache
def setup(name):
  """A jitted apply, and variables moved away from the zeros they begin at."""
  network = EXTRACTORS[name][0]
  variables = jax.eval_shape(network.init, jax.random.key(0), inputs(name))
  noise = np.random.default_rng(0)
  return jit(network.apply), jax.tree.map(
      lambda p: noise.normal(size=p.shape).astype(np.float32), variables)


@each_extractor
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_extractor_keeps_shape_and_parameter_dtype(name, dtype):
  network, _, features = EXTRACTORS[name]
  out, variables = jax.eval_shape(
      network.init_with_output, jax.random.key(0),
      jnp.asarray(inputs(name), dtype))
  assert out.shape == (4, features)
  assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype('f4')}


@each_extractor
def test_extractor_sees_each_example_alone(name):
  apply, variables = setup(name)
  x = inputs(name)
  out = apply(variables, x)
  changed = apply(variables, np.concatenate([x[:1] + 1, x[1:]]))
  np.testing.assert_allclose(changed[1:], out[1:], rtol=1e-5, atol=1e-5)
  assert np.abs(changed[0] - out[0]).max() > 0.01


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float32])
def test_resnet_computes_in_the_dtype_asked_for(dtype):
  network = EXTRACTORS['resnet'][0].clone(dtype=dtype)
  out, _ = jax.eval_shape(network.init_with_output, jax.random.key(0),
                          inputs('resnet'))
  assert out.dtype == dtype


def test_resnet_blocks_begin_as_the_identity():
  """The second convolution of every block is zero, and so is what it adds."""
  network, _, _ = EXTRACTORS['resnet']
  x = inputs('resnet')
  variables = jit(network.init)(jax.random.key(0), x)
  params = variables['params']
  assert not np.any(params['level1_block0']['conv2']['kernel'])
  scrambled = {**params, 'level1_block0': {
      **params['level1_block0'], 'conv1': jax.tree.map(
          lambda p: p + 1, params['level1_block0']['conv1'])}}
  apply, _ = setup('resnet')
  np.testing.assert_array_equal(apply({'params': scrambled}, x),
                                apply(variables, x))


def test_resnet_drops_out_only_in_training():
  network = EXTRACTORS['resnet'][0].clone(dropout=0.5)
  _, variables = setup('resnet')
  x = inputs('resnet')
  with pytest.raises(flax.errors.InvalidRngError):
    jax.eval_shape(lambda: network.apply(variables, x, train=True))
  apply = jit(lambda key: network.apply(variables, x, train=True,
                                        rngs={'dropout': key}))
  one, two = apply(jax.random.key(0)), apply(jax.random.key(1))
  assert np.abs(one - two).max() > 0
  # Half of the features are zero beside those that the ReLU leaves so.
  plain = setup('resnet')[0](variables, x)
  assert np.sum(one == 0) > np.sum(plain == 0)


@pytest.mark.parametrize('side, pixels', [(8, 4), (14, 4), (5, 3), (4, 4)])
def test_resnet_looks_at_few_pixels_of_the_last_level(side, pixels):
  """Whatever the size of the image, so that parameters do not grow with it."""
  variables = jax.eval_shape(
      ResNet((4,), features=6, groups=2).init, jax.random.key(0),
      jnp.zeros((1, side, side, 3)))
  kernel = variables['params']['dense_out']['kernel']
  assert kernel.shape == (pixels**2 * 4, 6)


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_perceptron_is_layers_of_affine_maps_and_activations(activation):
  x = inputs('perceptron')
  network = Perceptron((5, 3), activation)
  _, variables = setup('perceptron')
  want = x
  for i in range(2):
    layer = variables['params'][f'dense_{i}']
    want = np.asarray(ACTIVATIONS[activation](
        want @ layer['kernel'] + layer['bias']))
  np.testing.assert_allclose(network.apply(variables, x), want, rtol=1e-5,
                             atol=1e-6)


def test_perceptron_without_layers_leaves_x_alone():
  x = np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)
  np.testing.assert_array_equal(Perceptron(()).apply({}, x), x.reshape(2, 6))


@pytest.mark.parametrize('network, shape, message', [
    (ResNet((4, 8), groups=2), (2, 8, 8), 'ResNet: x must have 4 axes'),
    (ResNet((4, 8, 8), groups=2), (2, 8, 6, 1),
     'ResNet: height and width must be multiples of 4, got 8 x 6'),
    (ResNet((12,), groups=8), (2, 8, 8, 1),
     'GroupNorm: groups must divide the 12 channels'),
    (Perceptron((4, 0)), (2, 2), 'Perceptron: width must be positive, got 0'),
    (Perceptron((4,), 'step'), (2, 2),
     "Perceptron: activation must be one of .*relu.*'step'"),
])
def test_extractor_refuses_in_one_line(network, shape, message):
  with pytest.raises(ValueError, match=message) as error:
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))
  assert '\n' not in str(error.value)
