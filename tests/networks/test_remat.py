"""Blocks that the backward pass computes again: the same, and less to keep."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.mlp import MLP
from genjax.networks.mp_unet import MPUNet
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet

# A network, one of more blocks, and what enters them.
NETWORKS = {
    'mlp': (MLP(16, 1), dict(depth=8), (4,)),
    'unet': (UNet((4,), 0, (), 4, 2), dict(layers_per_block=1), (4, 4, 1)),
    'mp_unet': (MPUNet((4,), 0, (), 4), dict(layers_per_block=1), (4, 4, 1)),
    'dit': (DiT(8, 1, 4), dict(depth=8), (4, 4, 1)),
}
# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})


def _loss(network, event, batch=4):
  """(variables) -> a loss of a training step with dropout, and variables."""
  network = network.clone(dropout=0.3)
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(batch, *event)), jnp.float32)
  noise = jnp.linspace(-3.0, 3.0, batch)
  shapes = jax.eval_shape(network.init, jax.random.key(0), x, noise)

  def loss(variables):
    out = network.apply(variables, x, noise, train=True,
                        rngs={'dropout': jax.random.key(1)})
    return jnp.mean(jnp.square(out - x))

  return loss, jax.tree.map(
      lambda leaf: rng.normal(size=leaf.shape, scale=.3).astype('f4'), shapes)


@pytest.mark.parametrize('name, dtype', [
    *((name, jnp.float32) for name in NETWORKS), ('mlp', jnp.bfloat16)])
def test_loss_and_gradients_are_the_same(name, dtype):
  """To the rounding of some tens of layers, dropout included."""
  network, _, event = NETWORKS[name]
  (value, slopes), (same, others) = (
      jit(jax.value_and_grad(loss))(variables) for loss, variables in (
          _loss(network.clone(remat=remat, dtype=dtype), event)
          for remat in (False, True)))
  tolerance = 100 * float(jnp.finfo(dtype).eps)
  np.testing.assert_allclose(same, value, rtol=tolerance)
  most = max(np.abs(leaf).max() for leaf in jax.tree.leaves(slopes))
  for a, b in zip(*map(jax.tree.leaves, (slopes, others))):
    np.testing.assert_allclose(a, b, atol=tolerance * most)


@pytest.mark.parametrize('name', NETWORKS)
def test_the_backward_pass_is_left_less(name):
  """What the forward pass leaves it, in bytes, on any device: of each block
  that is added, at most a third."""
  network, more, event = NETWORKS[name]
  kept = {}
  for remat in False, True:
    for depth, clone in enumerate((network, network.clone(**more))):
      loss, variables = _loss(clone.clone(remat=remat), event, 64)
      left = jax.eval_shape(lambda v, loss=loss: jax.vjp(loss, v)[1], variables)
      kept[remat, depth] = sum(x.size * x.dtype.itemsize
                               for x in jax.tree.leaves(left)) - sum(
                                   x.nbytes for x in jax.tree.leaves(variables))
  assert kept[True, 1] - kept[True, 0] < (kept[False, 1] - kept[False, 0]) / 3


def test_xla_needs_less_memory():
  """By its own count, of the networks whose blocks it scans: of others a CPU
  keeps all that a GPU would not."""
  network, more, event = NETWORKS['dit']
  needed = []
  for remat in False, True:
    loss, variables = _loss(network.clone(remat=remat, **more), event, 64)
    compiled = jit(jax.grad(loss)).lower(variables).compile()
    needed.append(compiled.memory_analysis().temp_size_in_bytes)
  assert needed[1] < needed[0] / 2
