"""Magnitudes in the magnitude-preserving U-Net, new and trained."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.networks import magnitude_preserving as mp
from genjax.networks.mp_unet import MPUNet
from genjax.training.optimizers import make_optimizer

NETWORK = MPUNet((8, 16), 1, (1,), 8, num_classes=3)
STEPS, RATE = 100, 5e-3
_BATCH = 16
# The time of these tests is that of compiling.
jit = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0})


def _inputs(step):
  """Noisy toy images: a bar of one of three slants, lit from either side."""
  rng = np.random.default_rng(step)
  label = rng.integers(3, size=_BATCH)
  place = np.mgrid[:8, :8] - 3.5
  offset, side = rng.uniform(-3, 3, (2, _BATCH, 1, 1))
  slants = np.array([[1, 0], [0, 1], [.7, .7]])[label]
  clean = np.tanh(np.einsum('bi,ihw->bhw', slants, place) - offset)
  clean = ((clean**2 - .6) * 2 + side / 4 * place[1] / 3.5)[..., None]
  log_snr = rng.normal(2.0, 2.4, _BATCH)
  signal, noise = np.sqrt(1 / (1 + np.exp([-log_snr, log_snr])))
  drawn = rng.normal(size=clean.shape)
  by = lambda a: a[:, None, None, None]
  x, target = (by(signal) * clean + by(noise) * drawn,
               by(noise) * clean - by(signal) * drawn)
  return (x.astype('f4'), log_snr.astype('f4'), {
      'label': label, 'absent': rng.random(_BATCH) < .2}), target.astype('f4')


@jit
def _looked(variables, inputs):
  """Input and output of every linear layer, and output of every block."""
  seen = {}

  def look(call, args, kwargs, context):
    out = call(*args, **kwargs)
    path = '/'.join(context.module.path)
    if isinstance(context.module, mp.Linear) and context.method_name == (
        '__call__'):
      seen[path] = (args[0], out)
    elif isinstance(context.module, mp.Block) and context.method_name == (
        '__call__'):
      seen[f'{path} (block)'] = (out, out)
    return out

  with nn.intercept_methods(look):
    NETWORK.apply(variables, *inputs)
  return seen


def _new():
  """Variables, normal and of mean square 1 or zero, as `init` draws them."""
  shapes = jax.eval_shape(NETWORK.init, jax.random.key(0),
                          jnp.zeros((1, 8, 8, 1)), jnp.zeros(1))
  rng = np.random.default_rng(0)

  def drawn(path, leaf):
    if path[-1].key == 'gain':
      return np.zeros((), 'f4')
    x = rng.normal(size=leaf.shape)
    return (x / np.sqrt(np.mean(x**2, tuple(range(x.ndim - 1))))).astype('f4')

  return jax.tree_util.tree_map_with_path(drawn, shapes)


@jit
def _slope(variables, inputs, target):
  def loss(variables):
    return jnp.mean(jnp.square(NETWORK.apply(variables, *inputs) - target))
  return jax.value_and_grad(loss)(variables)


@functools.cache
def _trained():
  """Variables before and after training, and the losses."""
  tx = make_optimizer(RATE, STEPS, warmup_steps=0, final_fraction=1.0)

  @jit
  def move(variables, state, grads):
    updates, state = tx.update(grads, state, variables)
    return optax.apply_updates(variables, updates), state

  new = variables = _new()
  state, losses = tx.init(variables), []
  for i in range(STEPS):
    value, grads = _slope(variables, *_inputs(i))
    variables, state = move(variables, state, grads)
    losses.append(float(value))
  return new, variables, losses


def _directions(tree):
  """path -> weights [inputs, outputs]."""
  return {'/'.join(p.key for p in path[1:-1]): np.asarray(
      leaf, np.float64).reshape(-1, leaf.shape[-1])
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
          if path[-1].key == 'direction'}


def _patches(x, weights):
  """What weights [n, F] are multiplied with: [N, n], zeros beyond borders."""
  x = np.asarray(x, np.float64)
  if len(weights) == x.shape[-1]:
    return x.reshape(-1, x.shape[-1])
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
  return np.moveaxis(windows, 3, -1).reshape(-1, len(weights))


@functools.cache
def _layers(trained):
  """Of each layer: mean square of what leaves it, second moments of what enters
  it, new and present weights of norm 1. Of each block that mean square."""
  variables = _trained()[1 if trained else 0]
  new, now = _directions(_trained()[0]), _directions(variables)
  found, blocks = {}, {}
  for path, (x, out) in _looked(variables, _inputs(STEPS)[0]).items():
    if path not in now:
      blocks[path] = float(jnp.mean(jnp.square(out)))
    elif not _gained(path):
      patches = _patches(x, now[path])
      found[path] = (np.mean(np.square(np.asarray(out, np.float64))),
                     patches.T @ patches / len(patches),
                     *(w[path] / np.linalg.norm(w[path], axis=0)
                       for w in (new, now)))
  return found, blocks


def _gained(path):
  return path == 'conv_out' or path.endswith('/embedding')


def test_every_layer_of_a_new_network_keeps_the_mean_square():
  """That of its input, zeros beyond the borders counted in, which is tr M / n
  of the second moments M [n, n] of what its weights meet. Of a weight w on the
  unit sphere, w' M w has mean tr M / n and variance 2 (tr M^2 - (tr M)^2 / n) /
  (n (n + 2)); the mean square of an output is the mean over F of these."""
  layers, blocks = _layers(False)
  assert len(layers) == 35 and len(blocks) == 10
  for path, (square, moments, weights, _) in layers.items():
    n, features = weights.shape
    mean = np.trace(moments) / n
    spread = np.sqrt(2 * (np.sum(moments**2) - n * mean**2) / (
        n * (n + 2) * features))
    assert abs(square - mean) < 4 * spread + 1e-5, path
  # A branch that is 0 would leave .49 / .58 of the mean square 1 of what it is
  # added to: so at least that for each sum, convolutions and attention.
  for path, square in blocks.items():
    if path.startswith(('encoder', 'down')):
      assert 0.9 * (0.49 / 0.58)**2 < square < 1.1, path


def test_training_turns_weights_and_keeps_magnitudes():
  """Adam moves no weight by more than the rate (arXiv:1412.6980, section 2.1,
  of its memories .9 and .99), whose mean square is 1: so an update turns a
  channel by an angle of at most that. Turned by an angle a, it passes of second
  moments M at most (cos a sqrt(w' M w) + sin a sqrt(max eigenvalue))^2, and
  least where sin a is subtracted."""
  variables, losses = _trained()[1:]
  assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
  for path, weights in _directions(variables).items():
    np.testing.assert_allclose(np.mean(weights**2, 0), 1, atol=1e-5,
                               err_msg=path)
  layers, blocks = _layers(True)
  for path, (square, moments, new, now) in layers.items():
    cosine = np.sum(new * now, 0)
    assert 1e-3 < np.arccos(cosine).max() < RATE * STEPS, path
    once = np.sqrt(np.einsum('if,ij,jf->f', new, moments, new))
    turned = np.sqrt((1 - cosine**2) * np.linalg.eigvalsh(moments)[-1])
    most = np.mean((cosine * once + turned)**2)
    least = np.mean(np.maximum(cosine * once - turned, 0)**2)
    assert least * (1 - 1e-5) < square < most * (1 + 1e-5), path
    # What it may, and what it does: no layer doubles or halves the magnitude.
    assert 0.5**2 < square / np.trace(moments) * len(moments) < 2**2, path
  for path, square in blocks.items():
    assert 0.5**2 < square < 2**2, path


def test_a_weight_counts_by_its_direction():
  """Of any scale it makes the same network, so its gradient is orthogonal to
  it, each output channel to its own: to rounding, of n products."""
  variables, (inputs, target) = _trained()[1], _inputs(STEPS)
  value, grads = _slope(variables, inputs, target)
  rng = np.random.default_rng(0)
  scaled = jax.tree_util.tree_map_with_path(
      lambda path, leaf: leaf if path[-1].key == 'gain' else leaf * np.exp(
          rng.uniform(-2, 2, leaf.shape[-1])).astype('f4'), variables)
  other, smaller = _slope(scaled, inputs, target)
  np.testing.assert_allclose(other, value, rtol=1e-5)
  for tree, slopes in ((variables, grads), (scaled, smaller)):
    weights, slopes = _directions(tree), _directions(slopes)
    for path, w in weights.items():
      along = np.sum(w * slopes[path], 0)
      size = np.linalg.norm(w, axis=0) * np.linalg.norm(slopes[path], axis=0)
      assert np.all(np.abs(along) <= 1e-4 * size.max()), path
      assert size.max() > 0, path


@pytest.mark.parametrize('width, millions', [(128, 125), (192, 280)])
def test_edm2_has_its_published_size(width, millions):
  """arXiv:2312.02696, table 2: EDM2-XS and EDM2-S, of ImageNet's latents."""
  network = MPUNet([k * width for k in (1, 2, 3, 4)], num_classes=1000)
  shapes = jax.eval_shape(network.init, jax.random.key(0),
                          jnp.zeros((1, 64, 64, 4)), jnp.zeros(1))
  total = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
  assert abs(total / 1e6 - millions) < 0.5
