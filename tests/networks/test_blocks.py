"""Laws of blocks in a stack: unrolled on a CPU, scanned elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import blocks
from genjax.networks.init import init_params
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT

DEPTH = 3
NETWORKS = {'dit': (DiT(8, DEPTH, 4, dropout=.5), (4, 4, 1)),
            'mlp': (MLP(8, DEPTH, dropout=.5), (2,))}


def perturbed(network, event):
  variables = init_params(jax.random.key(0), network, (1, *event))
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda p: p + .3 * rng.normal(size=p.shape).astype(np.float32),
      variables)


def make_loss(network, event):
  """Of variables, in training, so that dropout has its keys too."""
  x = jnp.asarray(np.random.default_rng(1).normal(size=(6, *event)), 'f4')

  def loss(variables):
    out = network.apply(variables, x, jnp.linspace(-3, 3, 6), train=True,
                        rngs={'dropout': jax.random.key(7)})
    return jnp.sum(jnp.square(out)), out

  return loss


@pytest.mark.parametrize('name', NETWORKS)
def test_unrolled_and_scanned_blocks_are_one_function(name, monkeypatch):
  """The same params, outputs, gradients, and what dropout leaves out."""
  network, event = NETWORKS[name]
  results, programs, trees = [], [], []
  for unrolled in (True, False):
    monkeypatch.setattr(blocks, 'is_unrolled', lambda u=unrolled: u)
    variables = perturbed(network, event)
    trees.append(variables)
    step = jax.jit(jax.value_and_grad(make_loss(network, event), has_aux=True))
    programs.append(step.lower(variables).as_text())
    results.append(step(variables))
    step(variables)
    assert step._cache_size() == 1  # compiled once
  jax.tree.map(np.testing.assert_array_equal, *trees)
  assert all(p.shape[0] == DEPTH
             for p in jax.tree.leaves(trees[0]['params']['blocks']))
  # Sums of 48 terms in another order, each rounded by 2^-24.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max()), *results)
  # Those of threefry are in both; forward and backward pass are two more.
  unrolled, scanned = (text.count('stablehlo.while') for text in programs)
  assert scanned == unrolled + 2


def test_remat_keeps_less():
  """Of what the backward pass needs, also where blocks are else unrolled."""
  event, sizes = (8, 8, 1), {}
  for remat in (False, True):
    network = DiT(8, 6, 4, 1, remat=remat)
    grad = jax.jit(
        jax.grad(lambda v, f=make_loss(network, event): f(v)[0]),
        compiler_options={'xla_backend_optimization_level': 0})
    variables = jax.eval_shape(
        network.init, jax.random.key(0), jnp.zeros((1, *event)), jnp.zeros(1))
    sizes[remat] = grad.lower(
        variables).compile().memory_analysis().temp_size_in_bytes
  # Of six blocks one at a time, and what stands between them.
  assert sizes[True] < .6 * sizes[False], sizes
