import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training.optimizers import make_optimizer
from genjax.training.optimizers import warmup_cosine


def test_warmup_cosine_passes_through_its_corners():
  schedule = warmup_cosine(2.0, 110, warmup_steps=10, final_fraction=0.1)
  # Half way down a cosine is the mean of its ends.
  np.testing.assert_allclose(
      [schedule(n) for n in (0, 10, 60, 110, 1000)],
      [2.0 / 11, 2.0, 1.1, 0.2, 0.2], rtol=1e-6)
  rates = np.array([schedule(n) for n in range(111)])
  assert np.all(np.diff(rates[:11]) > 0) and np.all(np.diff(rates[10:]) < 0)


def test_warmup_cosine_without_warmup_starts_at_its_peak():
  assert warmup_cosine(2.0, 10, warmup_steps=0)(0) == 2.0


@pytest.mark.parametrize('clip_norm', [None, 1.0])
def test_make_optimizer_is_adam_as_published(clip_norm):
  tx = make_optimizer(0.1, 10, warmup_steps=0, final_fraction=1.0,
                      clip_norm=clip_norm, b2=0.9)
  params = jnp.zeros(2)
  state = tx.init(params)
  m = v = np.zeros(2)
  for n, grad in enumerate([(30.0, 40.0), (0.3, -0.4), (-3.0, 4.0)], 1):
    update, state = tx.update(jnp.array(grad), state, params)
    g = np.array(grad)
    if clip_norm is not None:
      g = g / max(1.0, np.linalg.norm(g) / clip_norm)
    # arXiv:1412.6980, algorithm 1.
    m = 0.9 * m + 0.1 * g
    v = 0.9 * v + 0.1 * g ** 2
    expected = -0.1 * (m / (1 - 0.9 ** n)) / (
        np.sqrt(v / (1 - 0.9 ** n)) + 1e-8)
    np.testing.assert_allclose(update, expected, rtol=1e-5)


def test_make_optimizer_decays_matrices_only():
  tx = make_optimizer(0.1, 10, name='adamw', warmup_steps=0, weight_decay=0.5)
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  zeros = {'kernel': jnp.zeros((2, 2)), 'bias': jnp.zeros(2)}
  updates, _ = tx.update(zeros, tx.init(params), params)
  np.testing.assert_allclose(updates['kernel'], -0.05, rtol=1e-6)
  np.testing.assert_array_equal(updates['bias'], 0.0)


def test_make_optimizer_lion_steps_by_the_sign():
  tx = make_optimizer(0.1, 10, name='lion', warmup_steps=0)
  params = jnp.zeros(3)
  updates, _ = tx.update(jnp.array([2.0, -1e-3, 0.0]), tx.init(params), params)
  np.testing.assert_allclose(updates, [-0.1, 0.1, 0.0], rtol=1e-6)


@pytest.mark.parametrize('shape', [(6, 4), (3, 6, 4), (3, 3, 2, 8)])
def test_muon_takes_the_orthogonal_part_of_a_kernel(shape):
  """The first momentum is the gradient: U S V' makes nearly .2 sqrt(n) U V'.

  Jordan's iteration brings singular values to within .7 and 1.2; n is the
  larger side. A stack is of matrices by themselves. Another leaf has Adam with
  Nesterov's momentum, .9 m + .1 g, each part as if it had begun long ago.
  """
  tx = make_optimizer(0.1, 10, name='muon', warmup_steps=0, final_fraction=1.0)
  params = {'kernel': jnp.ones(shape), 'bias': jnp.ones(4)}
  grads = jax.tree.map(lambda x: jnp.asarray(
      np.random.default_rng(0).normal(size=x.shape), x.dtype), params)
  updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
  flat = (lambda x: x.reshape(-1, shape[-1])) if len(shape) == 4 else (
      lambda x: np.asarray(x))
  u, s, v = np.linalg.svd(flat(grads['kernel']), full_matrices=False)
  size = 0.1 * 0.2 * np.sqrt(max(flat(params['kernel']).shape[-2:]))
  in_its_axes = np.swapaxes(u, -1, -2) @ -flat(updates['kernel']) @ (
      np.swapaxes(v, -1, -2)) / size
  values = np.diagonal(in_its_axes, axis1=-2, axis2=-1)
  assert np.all((values > 0.65) & (values < 1.25)), values
  others = in_its_axes - values[..., None] * np.eye(s.shape[-1])
  np.testing.assert_allclose(others, 0, atol=1e-5)
  np.testing.assert_allclose(
      updates['bias'], -0.1 * (0.9 * 0.1 / (1 - 0.9**2) + 1) * np.sign(
          grads['bias']), rtol=1e-4)


@pytest.mark.parametrize('name', ['adam', 'muon'])
def test_what_counts_by_its_direction_stays_on_the_sphere(name):
  """Of mean square 1 an output channel, wherever it began, and moved as a leaf
  of another name, but for its norm; other leaves do not notice."""
  tx = make_optimizer(0.1, 10, name=name, warmup_steps=0)
  rng = np.random.default_rng(0)
  params, grads = ({key: jnp.asarray(rng.normal(size=shape), jnp.float32)
                    for key, shape in {'a': (6, 4), 'b': (3, 3, 2, 4),
                                       'gain': ()}.items()} for _ in range(2))
  trees = [{key: {leaf: x} for key, x in tree.items()}
           for leaf in ('direction', 'kernel') for tree in (params, grads)]
  after = []
  for tree, slopes in (trees[:2], trees[2:]):
    updates, _ = jax.jit(tx.update)(slopes, tx.init(tree), tree)
    after.append(jax.tree.map(jnp.add, tree, updates))
  for key in 'ab':
    on, off = after[0][key]['direction'], after[1][key]['kernel']
    axes = tuple(range(on.ndim - 1))
    np.testing.assert_allclose(np.mean(on**2, axes), 1, rtol=1e-6)
    size = np.sqrt(np.mean(np.square(off), axes))
    np.testing.assert_allclose(on, off / size, rtol=1e-4, atol=1e-5)
    assert np.abs(size - 1).max() > 0.05


@pytest.mark.parametrize('options, message', [
    ({'name': 'sgdd'},
     "name must be one of adam, adamw, lion, muon, got 'sgdd'"),
    ({'learning_rate': 0.0}, 'learning_rate must be positive'),
    ({'warmup_steps': 200}, r'warmup_steps must be in \[0, num_steps\)'),
    ({'warmup_steps': -1}, 'warmup_steps must be in'),
    ({'final_fraction': 2.0}, r'final_fraction must be in \[0.0, 1.0\]'),
    ({'clip_norm': 0.0}, 'clip_norm must be positive'),
    ({'b2': 1.0}, r'b2 must be in \[0, 1\)'),
    ({'name': 'adamw', 'weight_decay': -1.0}, 'must not be negative'),
    ({'weight_decay': 0.1}, "weight_decay must be 0 with 'adam'"),
])
def test_make_optimizer_refuses_bad_options(options, message):
  with pytest.raises(ValueError, match=message):
    make_optimizer(**{'learning_rate': 1e-3, 'num_steps': 200, **options})
