import re

import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from genjax.networks.partition import partition
from genjax.networks.transformer import DiT

NETWORK = DiT(features=32, depth=1, head_dim=8)
X, NOISE = np.ones((2, 8, 8, 3), np.float32), np.ones(2, np.float32)
MEETINGS = ('all-reduce', 'all-gather', 'all-to-all', 'collective-permute',
            'reduce-scatter')


def split_over(devices):
  """Shapes of the params of the network, laid out over so many devices."""
  mesh = jax.make_mesh((devices,), ('model',), axis_types=(AxisType.Auto,),
                       devices=jax.devices()[:devices])

  def laid_out(path, x):
    axes = partition(jax.tree_util.keystr(path), x.shape)
    spec = PartitionSpec(*('model' if split else None for split in axes))
    return jax.ShapeDtypeStruct(x.shape, x.dtype,
                                sharding=NamedSharding(mesh, spec))

  return mesh, jax.tree_util.tree_map_with_path(
      laid_out, jax.eval_shape(NETWORK.init, jax.random.key(0), X, NOISE))


def test_devices_meet_twice_a_block():
  """arXiv:1909.08053, figure 4: one all-reduce behind each pair of matrices,
  attention and hidden layer, and nothing else."""
  mesh, params = split_over(2)
  whole = NamedSharding(mesh, PartitionSpec())
  program = jax.jit(NETWORK.apply, out_shardings=whole).lower(params, *(
      jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole)
      for x in (X, NOISE))).compile().as_text()
  met = {name: len(re.findall(rf'= \S+ {name}(?:-start)?\(', program))
         for name in MEETINGS}
  assert met == {**dict.fromkeys(MEETINGS, 0), 'all-reduce': 2}


def test_matrices_of_attention_and_hidden_layers_are_shared_evenly():
  """Those are 4 F^2 + 2 r F^2 of r = 4, their biases but two split too."""
  _, params = split_over(4)
  held = {False: 0, True: 0}
  for x in jax.tree.leaves(params):
    shard = x.sharding.shard_shape(x.shape)
    held[shard != x.shape] += np.prod(x.shape)
    assert np.prod(x.shape) == np.prod(shard) * (4 if shard != x.shape else 1)
  width = NETWORK.features
  assert held[True] == 12 * width**2 + (3 + NETWORK.mlp_ratio) * width


def test_what_the_optimizer_keeps_is_split_like_the_parameter():
  inside = "['blocks']['attention']['to_q']['kernel']"
  for path in (".params['network']" + inside, ".opt_state[1][0].mu" + inside,
               ".averages['ema']" + inside):
    assert partition(path, (2, 8, 8)) == (False, False, True)
  assert partition('.step', ()) == partition(inside, jnp.shape(0)) == ()
