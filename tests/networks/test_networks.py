"""The contract of every network, as laws over a table."""

import functools

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.autoencoder import ConvDecoder
from genjax.networks.autoencoder import ConvEncoder
from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.networks.cnn import ResNet
from genjax.networks.energy import EnergyMLP
from genjax.networks.init import init_params
from genjax.networks.mlp import MLP
from genjax.networks.mlp import Perceptron
from genjax.networks.mp_unet import MPUNet
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet

CLASSES = 3
NETWORKS = {
    'mlp': (MLP(16, 2), (2,)),
    'unet': (UNet((4, 8), 1, (1,), 4, groups=2), (4, 6, 1)),
    'mp_unet': (MPUNet((8,), 1, (0,), 4), (4, 6, 1)),
    'dit': (DiT(16, 2, 8), (4, 6, 1)),
}
# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})
each_network = pytest.mark.parametrize('name', NETWORKS)


@functools.cache
def setup(name):
  """A conditional network, its jitted apply, new and perturbed variables."""
  network, event = NETWORKS[name]
  network = network.clone(num_classes=CLASSES, dropout=.5)
  variables = init_params(jax.random.key(0), network, (1, *event))
  leaves, treedef = jax.tree.flatten(variables)
  noise = np.random.default_rng(0)
  perturbed = treedef.unflatten(
      [p + .3 * noise.normal(size=p.shape).astype(np.float32) for p in leaves])
  return network, jit(network.apply), variables, perturbed


def classes(label):
  """What a network is told of labels, of which CLASSES is none."""
  return {'label': jnp.asarray(label), 'absent': jnp.asarray(label) == CLASSES}


def inputs(name, batch=5):
  noise = np.random.default_rng(1)
  x = noise.normal(size=(batch, *NETWORKS[name][1])).astype(np.float32)
  return (jnp.asarray(x), jnp.linspace(-9.0, 7.0, batch),
          classes(jnp.arange(batch) % (CLASSES + 1)))


@each_network
@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('num_classes', [None, CLASSES])
@pytest.mark.parametrize('dtype', [None, jnp.bfloat16])
@pytest.mark.parametrize('x_dtype', [jnp.float32, jnp.bfloat16])
def test_network_keeps_shape_and_dtype(name, batch, num_classes, dtype,
                                       x_dtype):
  network = NETWORKS[name][0].clone(num_classes=num_classes, dtype=dtype)
  x, log_snr, cond = inputs(name, batch)
  x = x.astype(x_dtype)
  cond = None if num_classes is None else cond
  out, variables = jax.eval_shape(
      network.init_with_output, jax.random.key(0), x, log_snr, cond)
  assert out.shape == x.shape and out.dtype == x.dtype
  assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype('f4')}


# Of one argument, and of which shape each example is and becomes.
OTHERS = {
    'resnet': (ResNet((8,), features=4), (4, 6, 1), (4,)),
    'perceptron': (Perceptron((3, 4)), (4, 6, 1), (4,)),
    'energy': (EnergyMLP(4, 2), (3,), ()),
    'mlp_encoder': (MLPEncoder(5, (3,)), (4, 6, 1), (5,)),
    'mlp_decoder': (MLPDecoder(5, (4, 6, 1), (3,)), (2,), (4, 6, 1, 5)),
    'conv_encoder': (ConvEncoder(5, (8,)), (4, 6, 1), (5,)),
    'conv_decoder': (ConvDecoder(5, (4, 6, 1), (8,)), (2,), (4, 6, 1, 5)),
}


@pytest.mark.parametrize('name', [*NETWORKS, *OTHERS])
def test_network_maps_no_examples_to_none(name):
  """And whole numbers to float32, not back to whole numbers."""
  if name in NETWORKS:
    network, event = NETWORKS[name]
    shape, rest = event, lambda batch: (jnp.zeros(batch),)
  else:
    network, event, shape = OTHERS[name]
    rest = lambda batch: ()
  for batch, dtype in ((0, 'f4'), (2, 'i4')):
    out, _ = jax.eval_shape(
        network.init_with_output, jax.random.key(0),
        jnp.zeros((batch, *event), dtype), *rest(batch))
    assert out.shape == (batch, *shape) and out.dtype == jnp.float32


def test_unet_runs_on_no_examples():
  """Compiled too, one level of it with its attention."""
  network = UNet((4,), 1, (), 4, groups=2)
  x, log_snr = jnp.zeros((0, 4, 6, 1)), jnp.zeros(0)
  assert jit(lambda: network.init_with_output(
      jax.random.key(0), x, log_snr)[0])().shape == x.shape


@each_network
def test_network_is_zero_when_new(name):
  _, apply, variables, _ = setup(name)
  np.testing.assert_array_equal(apply(variables, *inputs(name)), 0)


@each_network
def test_network_sees_each_example_alone(name):
  _, apply, _, variables = setup(name)
  x, log_snr, cond = inputs(name)
  out = apply(variables, x, log_snr, cond)
  order = np.array([4, 2, 0, 1, 3])
  scale = np.abs(out).max()
  np.testing.assert_allclose(
      apply(variables, *jax.tree.map(lambda a: a[order], (x, log_snr, cond))),
      out[order], atol=1e-5 * scale)
  changed = apply(variables, x.at[0].add(1), log_snr.at[0].add(1),
                  classes(cond['label'].at[0].add(1)))
  np.testing.assert_allclose(changed[1:], out[1:], atol=1e-5 * scale)
  assert np.abs(changed[0] - out[0]).max() > .01 * scale


@each_network
def test_network_without_condition_is_that_of_an_absent_one(name):
  _, apply, _, variables = setup(name)
  x, log_snr, _ = inputs(name)
  none = apply(variables, x, log_snr, None)
  np.testing.assert_allclose(
      apply(variables, x, log_snr, classes(jnp.full(5, CLASSES))), none,
      atol=1e-5 * np.abs(none).max())
  with_class = apply(variables, x, log_snr, classes(jnp.zeros(5, jnp.int32)))
  assert np.abs(with_class - none).max() > .01 * np.abs(none).max()


@each_network
def test_network_learns_to_use_every_input(name):
  network, apply, variables, _ = setup(name)
  x, log_snr, cond = inputs(name)
  target = jnp.roll(x, 1, axis=0)

  @jit
  def step(variables):
    def loss(variables):
      out = network.apply(variables, x, log_snr, cond)
      return jnp.mean(jnp.square(out - target))
    value, grad = jax.value_and_grad(loss)(variables)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grad)))
    return value, jax.tree.map(lambda p, g: p - .1 * g / norm, variables, grad)

  # The first step moves the zero output layer, the second what feeds it, the
  # third what feeds that.
  losses = []
  for _ in range(4):
    value, variables = step(variables)
    losses.append(value)
  assert losses[-1] < losses[0]
  out = apply(variables, x, log_snr, cond)
  for other in ((x + 1, log_snr, cond), (x, log_snr + 3, cond),
                (x, log_snr, classes((cond['label'] + 1) % CLASSES))):
    assert np.abs(apply(variables, *other) - out).max() > 1e-6
  moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), variables,
                       setup(name)[2])
  assert all(jax.tree.leaves(moved)), moved


@each_network
def test_network_drops_out_only_in_training(name):
  network, plain, _, variables = setup(name)
  data = inputs(name)
  with pytest.raises(flax.errors.InvalidRngError):
    jax.eval_shape(lambda: network.apply(variables, *data, train=True))
  apply = jit(lambda key: network.apply(
      variables, *data, train=True, rngs={'dropout': key}))
  one, two = apply(jax.random.key(0)), apply(jax.random.key(1))
  assert np.abs(one - two).max() > .01 * np.abs(one).max()
  # Not training needs no key, and differs from both.
  assert np.abs(plain(variables, *data) - one).max() > 0


def count_equations(jaxpr):
  count = 0
  for equation in jaxpr.eqns:
    count += 1
    for value in equation.params.values():
      for inner in value if isinstance(value, (tuple, list)) else (value,):
        inner = getattr(inner, 'jaxpr', inner)
        if hasattr(inner, 'eqns'):
          count += count_equations(inner)
  return count


@pytest.mark.parametrize('name,change', [
    ('mlp', {}), ('dit', {}), ('dit', {'remat': True})])
def test_network_program_does_not_grow_with_depth(name, change):
  counts = []
  for depth in 2, 8:
    network = NETWORKS[name][0].clone(depth=depth, **change)
    x, log_snr, _ = inputs(name)
    variables = jax.eval_shape(network.init, jax.random.key(0), x, log_snr)
    grad = jax.grad(lambda v, x, s, f=network.apply: f(v, x, s).sum())
    counts.append(count_equations(
        jax.make_jaxpr(grad)(variables, x, log_snr).jaxpr))
  assert counts[0] == counts[1] > 100


ABSENT = np.zeros(2, bool)
BAD = {
    'unet size': (UNet((4, 8, 8), groups=2), (2, 8, 6, 1), 2, None,
                  'UNet: image height and width must be multiples of 4, '
                  'got 8 x 6'),
    'mp_unet size': (MPUNet((4, 8)), (2, 7, 6, 1), 2, None,
                     'MPUNet: image height and width must be multiples of 2, '
                     'got 7 x 6'),
    'mp_unet level': (MPUNet((4, 8), 1, (2,)), (2, 8, 8, 1), 2, None,
                      r'MPUNet: attention_levels must be within 0..1, got'),
    'mp_unet heads': (MPUNet((4, 8), 0, (), 3), (2, 8, 8, 1), 2, None,
                      'MPUNet: head_dim must divide the 8 channels, got 3'),
    'dit size': (DiT(16, 1, 8, patch_size=4), (2, 8, 6, 1), 2, None,
                 'DiT: image height and width must be multiples of 4, '
                 'got 8 x 6'),
    'rank': (UNet(), (2, 8, 8), 2, None, 'UNet: x must have 4 axes'),
    'scalars': (MLP(), (2,), 2, None, r'MLP: x must be \[B, ...\]'),
    'groups': (UNet((12, 16), groups=8), (2, 8, 8, 1), 2, None,
               'GroupNorm: groups must divide the 12 channels'),
    'level': (UNet((4, 8), attention_levels=(2,), groups=2), (2, 8, 8, 1), 2,
              None, r'UNet: attention_levels must be within 0..1, got \(2,\)'),
    'depth': (MLP(depth=0), (2, 2), 2, None, 'MLP: depth must be positive'),
    'noise': (MLP(), (2, 2), 1, None, r'MLP: noise must have shape \(2,\)'),
    'levels': (MLP(noise_levels=2), (2, 2), 2, None,
               r'MLP: noise must have shape \(2, 2\)'),
    'label shape': (MLP(num_classes=3), (2, 2), 2,
                    {'label': np.zeros(3, np.int32), 'absent': ABSENT},
                    r'MLP: label must have shape \(2,\), got shape \(3,\)'),
    'label dtype': (MLP(num_classes=3), (2, 2), 2,
                    {'label': np.zeros(2, np.float32), 'absent': ABSENT},
                    'MLP: label must hold integers, got float32'),
    'absent dtype': (MLP(num_classes=3), (2, 2), 2,
                     {'label': np.zeros(2, int), 'absent': np.zeros(2)},
                     'MLP: absent must hold truth values, got float32'),
    'vector': (MLP(vector_size=3), (2, 2), 2,
               {'vector': np.zeros((2, 4)), 'absent': ABSENT},
               r'MLP: vector must have shape \(2, 3\)'),
    'image': (UNet(image_channels=3), (2, 8, 8, 1), 2,
              {'image': np.zeros((2, 8, 8, 1)), 'absent': ABSENT},
              r'UNet: image must have shape \(2, 8, 8, 3\)'),
    'augment': (DiT(augment_size=9), (2, 8, 8, 1), 2,
                {'augment': np.zeros((2, 8)), 'absent': ABSENT},
                r'DiT: augment must have shape \(2, 9\)'),
    'no absent': (MLP(num_classes=3), (2, 2), 2, {'label': np.zeros(2, int)},
                  'MLP: cond must hold absent, label, got label'),
    'another': (MLP(vector_size=3), (2, 2), 2,
                {'label': np.zeros(2, int), 'absent': ABSENT},
                'MLP: cond must hold absent, vector, got absent, label'),
    'no condition': (MLP(), (2, 2), 2, {'label': np.zeros(2, int)},
                     'MLP: cond must be None for a network that takes no'),
}


@pytest.mark.parametrize('case', BAD)
def test_network_refuses_in_one_line(case):
  network, shape, levels, cond, message = BAD[case]
  with pytest.raises(ValueError, match=message) as error:
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape),
                   jnp.zeros(levels), cond)
  assert '\n' not in str(error.value)
