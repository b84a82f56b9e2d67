"""What networks are told: two noise levels, classes, vectors and more."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.init import init_params
from genjax.networks.mlp import MLP
from genjax.networks.mp_unet import MPUNet
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet

# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})

_TOLD = dict(num_classes=3, vector_size=4, augment_size=9)
NETWORKS = {
    'mlp': (MLP(8, 1, **_TOLD), (4, 4, 1)),
    'unet': (UNet((4,), 1, (), groups=2, image_channels=2, **_TOLD), (4, 4, 1)),
    'mp_unet': (MPUNet((4,), 0, (), 4, image_channels=2, **_TOLD), (4, 4, 1)),
    'dit': (DiT(8, 1, 4, image_channels=2, **_TOLD), (4, 4, 1)),
}
_BATCH = 3


def _inputs(name):
  rng = np.random.default_rng(0)
  normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  cond = {'label': jnp.asarray([2, 0, 1]), 'vector': normal(_BATCH, 4),
          'augment': normal(_BATCH, 9),
          'absent': jnp.asarray([False, True, False])}
  if name != 'mlp':
    cond['image'] = normal(_BATCH, 4, 4, 2)
  return normal(_BATCH, 4, 4, 1), normal(_BATCH), cond


def _perturbed(variables):
  leaves, treedef = jax.tree.flatten(variables)
  rng = np.random.default_rng(0)
  return treedef.unflatten([
      leaf + .3 * rng.normal(size=leaf.shape).astype(np.float32)
      for leaf in leaves])


@functools.cache
def _setup(name):
  """Outputs, and gradients in params and condition, of a jitted network."""
  network, event = NETWORKS[name]
  variables = _perturbed(init_params(jax.random.key(0), network, (1, *event)))
  x, noise, _ = _inputs(name)

  @jit
  def run(cond):
    floats = {k: v for k, v in cond.items() if v.dtype == jnp.float32}

    def loss(variables, floats):
      out = network.apply(variables, x, noise, cond | floats)
      return jnp.sum(jnp.square(out)), out

    (_, out), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(
        variables, floats)
    return out, grads

  return run


@pytest.mark.parametrize('name', NETWORKS)
def test_every_part_of_a_condition_reaches_the_network(name):
  """The output changes where it changes, and nowhere else; where it is absent
  neither output nor gradient see it, NaN or no class that it be. How x was
  changed is never absent."""
  run, (_, _, cond) = _setup(name), _inputs(name)
  out, (slopes, given) = run(cond)
  size = np.abs(out).max()
  for part, value in cond.items():
    if part == 'absent':
      continue
    other = (value + 1) % 3 if part == 'label' else value + 1
    moved = np.abs(run(cond | {part: other})[0] - out).max((1, 2, 3)) / size
    assert moved[0] > 1e-3 and moved[2] > 1e-3, part
    if part == 'augment':
      assert moved[1] > 1e-3
      continue
    assert moved[1] == 0, part
    junk = value.at[1].set(-7 if part == 'label' else jnp.nan)
    for a, b in zip(jax.tree.leaves(run(cond | {part: junk})),
                    jax.tree.leaves((out, (slopes, given)))):
      np.testing.assert_array_equal(a, b)
  for part, slope in given.items():
    seen = np.abs(slope.reshape(_BATCH, -1)).max(1) > 0
    np.testing.assert_array_equal(
        seen, (part == 'augment') | ~cond['absent'], err_msg=part)


@pytest.mark.parametrize('name', NETWORKS)
def test_absence_is_learned(name):
  """By parameters of its own, which move nothing where all is present."""
  run, (_, _, cond) = _setup(name), _inputs(name)
  named = lambda tree: {
      jax.tree_util.keystr(path): leaf for path, leaf in
      jax.tree_util.tree_leaves_with_path(tree) if 'absent' in str(path)}
  some, none = (named(run(cond | {'absent': absent})[1][0]['params']) for absent
                in (cond['absent'], jnp.zeros(_BATCH, bool)))
  assert len(some) == (1 if name == 'mlp' else 2)  # vector; image
  for path, slope in some.items():
    assert np.abs(slope).max() > 0, path
    np.testing.assert_array_equal(none[path], 0, err_msg=path)


@pytest.mark.parametrize('name', NETWORKS)
def test_network_of_two_noise_levels_depends_on_both(name):
  network, event = NETWORKS[name]
  network = network.clone(noise_levels=2)
  variables = _perturbed(init_params(jax.random.key(0), network, (1, *event)))
  x, noise, _ = _inputs(name)
  apply = jit(network.apply)
  both = jnp.stack([noise, noise - 2], axis=1)
  out = apply(variables, x, both)
  assert out.shape == x.shape
  for level in range(2):
    moved = apply(variables, x, both.at[0, level].add(1)) - out
    assert np.abs(moved[0]).max() > 1e-3 * np.abs(out).max()
    np.testing.assert_array_equal(moved[1:], 0)


def test_parts_that_are_not_told_change_no_parameter():
  """Initial values belong to names: those of a network of classes are those of
  one that is told more, but for where an image enters."""
  plain = UNet((4,), 1, (), groups=2, num_classes=3)
  told = plain.clone(vector_size=4, image_channels=2, augment_size=9)
  few, all_ = (dict(jax.tree_util.tree_leaves_with_path(init_params(
      jax.random.key(0), network, (1, 4, 4, 1)))) for network in (plain, told))
  for path, value in few.items():
    if 'conv_in' not in str(path):
      np.testing.assert_array_equal(all_[path], value)
  assert len(all_) == len(few) + 5
