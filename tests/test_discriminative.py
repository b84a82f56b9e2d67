"""Losses against closed forms, and the algebra of features."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special
from scipy import stats
from sklearn import metrics
from sklearn.decomposition import PCA

from genjax import discriminative
from genjax.networks.mlp import Perceptron
from genjax.types import Context
from tests.laws import float64

B, K = 64, 3
_RNG = np.random.default_rng(0)


def table_model(x_to_logits=lambda x: x):
  """A classifier without parameters: its logits are a function of x."""

  def call(params, x, *, train=False, rngs=None):
    del params, train, rngs
    return x_to_logits(x)

  return discriminative.Discriminative(lambda key, x: {}, call, call)


def batch_of(x, label=None):
  batch = {'x': jnp.asarray(x, jnp.float32), 'index': jnp.arange(len(x))}
  return batch if label is None else {
      **batch, 'cond': {'label': jnp.asarray(label)}}


def test_make_discriminative_logits_are_linear_in_the_features():
  model = discriminative.make_discriminative(Perceptron((5,)), K)
  x = _RNG.normal(size=(4, 2)).astype(np.float32)
  params = model.init(jax.random.key(0), x)
  assert set(params) == {'extractor', 'head'}
  features = model.features(params, x)
  assert features.shape == (4, 5)
  want = features @ params['head']['kernel'] + params['head']['bias']
  np.testing.assert_allclose(model.logits(params, x), want, rtol=1e-5,
                             atol=1e-6)


def test_make_discriminative_constants_are_the_last_outputs():
  model = discriminative.make_discriminative(Perceptron(()), 1,
                                             num_constants=2)
  x = np.ones((4, 2), np.float32)
  params = {**model.init(jax.random.key(0), x), 'constants': jnp.arange(2.0)}
  outputs = model.logits(params, x)
  np.testing.assert_array_equal(outputs[:, 1:], [[0, 1]] * 4)
  assert outputs.shape == (4, 3)


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_classification_loss_is_the_cross_entropy(smoothing, train):
  """Of smoothed labels in training, of the labels themselves elsewhere."""
  logits = _RNG.normal(size=(B, K)).astype(np.float32)
  label = _RNG.integers(0, K, B)
  log_p = special.log_softmax(logits.astype(np.float64), axis=1)
  spread = smoothing if train else 0.0
  target = (1 - spread) * np.eye(K)[label] + spread / K
  loss_fn = discriminative.make_classification_loss(
      table_model(), label_smoothing=smoothing, train=train)
  loss, metrics = loss_fn({}, jax.random.key(0), batch_of(logits, label),
                          Context())
  np.testing.assert_allclose(loss, -np.mean(np.sum(target * log_p, 1)),
                             rtol=1e-5)
  np.testing.assert_allclose(metrics['accuracy'],
                             np.mean(logits.argmax(1) == label), rtol=1e-6)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_classification_loss_of_16_bits_is_that_of_its_logits(dtype):
  """And of a logit that is no number, not even the accuracy is one."""
  label = _RNG.integers(0, K, B)
  batch = batch_of(_RNG.normal(size=(B, K)), label)
  batch['x'] = batch['x'].astype(dtype)
  wide = {**batch, 'x': batch['x'].astype(jnp.float32)}
  loss_fn = discriminative.make_classification_loss(table_model(), train=False)
  got, want = (loss_fn({}, jax.random.key(0), b, Context())
               for b in (batch, wide))
  assert got == want and got[0].dtype == jnp.float32
  spoilt = batch['x'].at[0].set(jnp.nan)
  loss, metrics = loss_fn({}, jax.random.key(0), {**batch, 'x': spoilt},
                          Context())
  assert np.isnan(loss) and np.isnan(metrics['accuracy'])


@pytest.mark.parametrize('unit, dtype', [
    (1, 'uint8'), (1, 'int32'), (1, 'bfloat16'), (2.0**58, 'float32')])
def test_principal_components_are_those_of_the_numbers(unit, dtype):
  """Variances of 1e38, whose sum over 9000 rows is more than float32 holds."""
  x = np.arange(27000).reshape(9000, 3) * [1, 3, 7] % 101
  want = discriminative.principal_components(jnp.asarray(x, jnp.float32))
  got = discriminative.principal_components(jnp.asarray(x, dtype) * (
      unit if unit > 1 else jnp.ones((), dtype)))
  np.testing.assert_allclose(got.variances / unit**2, want.variances, rtol=1e-4)


def test_classification_loss_mixes_inputs_and_targets_alike():
  """Of one-hot x the mixed x is the mixed target: logits of its logarithm
  attain the entropy of the mix, the least that any logits can."""
  label = np.arange(B) % K  # neighbours differ
  seen = []

  def log_of(x):
    seen.append(x)
    return jnp.log(jnp.maximum(x, 1e-30))

  loss_fn = discriminative.make_classification_loss(table_model(log_of),
                                                    mixup=1.0)
  loss, metrics = loss_fn({}, jax.random.key(0),
                          batch_of(np.eye(K)[label], label), Context())
  share = np.asarray(seen[0])[np.arange(B), label]
  # max(u, 1 - u) of a uniform u is uniform on [1/2, 1].
  assert stats.kstest(2 * share - 1, 'uniform').pvalue > 1e-3
  np.testing.assert_allclose(np.asarray(seen[0]).sum(1), 1, rtol=1e-6)
  entropy = special.entr(share) + special.entr(1 - share)
  np.testing.assert_allclose(loss, entropy.mean(), rtol=1e-4)
  assert metrics['accuracy'] == 1
  plain, _ = discriminative.make_classification_loss(
      table_model(log_of), mixup=1.0, train=False)(
          {}, jax.random.key(0), batch_of(np.eye(K)[label], label), Context())
  assert plain == 0


def test_classification_loss_augments_each_example_by_its_index():
  """A batch in another order is changed in that order, and only in training.
  """
  seen = []
  model = table_model(lambda x: seen.append(x) or x)

  def add_noise(keys, x):
    return x + jax.vmap(lambda k: jax.random.normal(k, (K,)))(keys)

  batch = batch_of(np.zeros((B, K)), np.zeros(B, int))
  turned = jax.tree.map(lambda a: a[::-1], batch)
  for train, data in ((True, batch), (True, turned), (False, batch)):
    discriminative.make_classification_loss(
        model, augment=add_noise, train=train)({}, jax.random.key(0), data,
                                           Context())
  np.testing.assert_array_equal(seen[0], seen[1][::-1])
  assert np.std(seen[0]) > 0.5
  assert not np.any(seen[2])


def test_regression_loss_is_the_gaussian_density():
  outputs = _RNG.normal(size=(B, 4))
  target = _RNG.normal(size=(B, 2))
  loss_fn = discriminative.make_regression_loss(table_model(), 4)
  loss, metrics = loss_fn({}, jax.random.key(0),
                          batch_of(np.concatenate([outputs, target], 1)),
                          Context())
  nats = stats.norm.logpdf(target, outputs[:, :2], np.exp(outputs[:, 2:]))
  np.testing.assert_allclose(loss, -nats.sum(1).mean(), rtol=1e-5)
  np.testing.assert_allclose(metrics['squared_error'],
                             np.mean((target - outputs[:, :2])**2), rtol=1e-5)


@float64
def test_regression_loss_is_least_at_the_line_of_least_squares():
  """Of a linear model with a constant scale: its gradient vanishes there."""
  x = _RNG.normal(size=(B, 2))
  y = x @ [0.5, -2.0] + 1 + 0.3 * _RNG.normal(size=B)
  design = np.column_stack([x, np.ones(B)])
  solution, residual, *_ = np.linalg.lstsq(design, y)
  model = discriminative.make_discriminative(Perceptron(()), 1,
                                             num_constants=1)
  params = {
      'head': {'kernel': solution[:2, None], 'bias': solution[2:]},
      'constants': 0.5 * np.log(residual / B)}
  loss_fn = discriminative.make_regression_loss(model, 2)
  batch = {'x': jnp.asarray(np.column_stack([x, y]))}
  loss, gradient = jax.jit(jax.value_and_grad(
      lambda p: loss_fn(p, jax.random.key(0), batch, Context())[0]))(params)
  assert optax.tree.norm(gradient) < 1e-12
  best = 0.5 * np.log(2 * np.pi * np.e * residual[0] / B)
  np.testing.assert_allclose(loss, best, rtol=1e-12)


def test_shift_images_moves_some_by_whole_pixels():
  num = 4000
  image = np.zeros((num, 5, 5, 1), np.float32)
  image[:, 2, 2] = 1
  keys = jax.random.split(jax.random.key(0), num)
  moved = np.asarray(discriminative.shift_images(keys, image, fill=0.0))
  count = moved.sum(0)[..., 0]
  # Half stay, and half go to one of nine places, their own among these.
  want = np.zeros((5, 5))
  want[1:4, 1:4] = num / 18
  want[2, 2] += num / 2
  assert np.all(count[want == 0] == 0) and count.sum() == num
  assert stats.chisquare(count[want > 0], want[want > 0]).pvalue > 1e-3


def test_shift_images_fills_what_comes_in():
  keys = jax.random.split(jax.random.key(0), 200)
  moved = np.asarray(discriminative.shift_images(
      keys, np.ones((200, 3, 4, 2), np.float32), probability=1.0))
  rows = (moved == -1).all(axis=(2, 3)).sum(1)  # black rows of each
  assert set(np.unique(moved)) == {-1, 1} and set(rows) == {0, 1}
  still = discriminative.shift_images(keys, moved, probability=0.0)
  np.testing.assert_array_equal(still, moved)


def test_shift_images_fills_in_the_dtype_of_the_pixels():
  """Bytes have no -1, which would come in as white."""
  keys = jax.random.split(jax.random.key(0), 20)
  x = np.full((20, 3, 3, 1), 7, np.uint8)
  moved = discriminative.shift_images(keys, x, probability=1.0, fill=0)
  assert moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 7}
  for fill in (-1.0, 256, 0.5):
    with pytest.raises(ValueError, match='fill must be a number of uint8'):
      discriminative.shift_images(keys, x, fill=fill)


@pytest.mark.parametrize('num, dim', [(40, 6), (6, 40)])
def test_principal_components_are_eigenvectors_of_the_covariance(num, dim):
  x = _RNG.normal(size=(num, dim)) * np.linspace(1, 3, dim) + 5
  found = discriminative.principal_components(jnp.asarray(x, jnp.float32))
  rank = min(num, dim)
  want = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][:rank]
  # float32, relative to the largest.
  np.testing.assert_allclose(found.variances, want, atol=1e-4 * want[0])
  turned = found.directions @ found.directions.T
  np.testing.assert_allclose(turned, np.eye(rank), atol=1e-5)
  along = np.asarray(found.directions) @ np.cov(x.T, bias=True)
  np.testing.assert_allclose(along[:3], want[:3, None] * found.directions[:3],
                             atol=1e-3 * want[0])
  np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-5)


@pytest.mark.parametrize('variances, want', [
    ([2.0, 2.0, 2.0], 3), ([5.0, 0.0, 0.0], 1), ([1.0, 2.0], 9 / 5)])
def test_effective_dimension_counts_equal_directions(variances, want):
  for scale in (1e-30, 1e-3, 1.0, 1e3, 1e30):
    np.testing.assert_allclose(discriminative.effective_dimension(
        scale * jnp.asarray(variances)), want, rtol=1e-6)


def test_effective_dimension_of_a_point_is_nan():
  assert np.isnan(discriminative.effective_dimension(jnp.zeros(3)))


@pytest.mark.parametrize('make, message', [
    (lambda model: discriminative.make_discriminative(Perceptron(), 0),
     'num_outputs must be positive'),
    (lambda model: discriminative.make_discriminative(
        Perceptron(), 1, num_constants=-1), 'num_constants must not'),
    (lambda model: discriminative.make_classification_loss(
        model, label_smoothing=1.5), 'label_smoothing must be in'),
    (lambda model: discriminative.make_classification_loss(model, mixup=-1),
     'mixup must not be negative'),
    (lambda model: discriminative.principal_components(np.ones((0, 3))),
     'x must hold a row, got 0'),
    (lambda model: discriminative.principal_components(np.ones(3)),
     'x must have 2 axes'),
])
def test_discriminative_refuses_in_one_line(make, message):
  with pytest.raises(ValueError, match=message):
    make(table_model())


def test_in_blocks_is_the_function_of_all():
  x = np.arange(1203.0, dtype=np.float32)[:, None]
  sizes = []

  def twice(block):
    sizes.append(len(block))
    return 2 * block

  np.testing.assert_array_equal(discriminative.in_blocks(twice, x), 2 * x)
  # Filled up to what the eight devices divide.
  assert sizes == [504, 504, 208]
  assert discriminative.in_blocks(twice, x[:0]).shape == (0, 1)


def test_scores_are_those_of_scikit_learn_and_scipy():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(50, 4)).astype(np.float32)
  label = rng.integers(0, 4, 50)
  found = discriminative.classification_scores(logits, label)
  p = np.exp(logits - special.logsumexp(logits, 1, keepdims=True))
  assert found['loss'] == pytest.approx(metrics.log_loss(
      label, p / p.sum(1, keepdims=True)), rel=1e-5)
  assert found['accuracy'] == metrics.accuracy_score(
      label, logits.argmax(1))
  # What is not a number is of no class, be it the right one's.
  logits[np.arange(50), label] = np.nan
  assert discriminative.classification_scores(logits, label)['accuracy'] == 0
  loc, log_scale, target = rng.normal(size=(3, 50))
  found = discriminative.regression_scores(
      np.stack([loc, log_scale], 1), target[:, None])
  assert found['loss'] == pytest.approx(-stats.norm(
      loc, np.exp(log_scale)).logpdf(target).mean(), rel=1e-5)
  assert found['squared_error'] == pytest.approx(
      metrics.mean_squared_error(target, loc), rel=1e-5)


def test_in_two_dimensions_is_principal_components_with_signs_of_their_own():
  x = np.random.default_rng(0).normal(size=(50, 4)) * [1, 3, 2, 0.5]
  want = PCA(2).fit(x)
  seen, names = discriminative.in_two_dimensions(x.astype(np.float32))
  turned = np.abs(want.transform(x) * seen).sum(0) / np.abs(
      np.sum(want.transform(x) * seen, 0))
  np.testing.assert_allclose(np.abs(seen), np.abs(want.transform(x)),
                             atol=1e-4)
  np.testing.assert_allclose(turned, 1, rtol=1e-5)  # one sign throughout
  assert f'{want.explained_variance_ratio_[1]:.0%}' in names[1]
  again, _ = discriminative.in_two_dimensions(x[::-1].astype(np.float32))
  np.testing.assert_allclose(again[::-1], seen, atol=1e-4)


def test_in_two_dimensions_of_one_feature_is_flat():
  seen, _ = discriminative.in_two_dimensions(np.arange(4.0)[:, None])
  assert seen.shape == (4, 2) and not np.any(seen[:, 1])


def test_extractor_hash_is_of_the_extractor_alone():
  def params(w=1.0, head=0.0, name='w', shape=(2, 2)):
    return {'extractor': {name: jnp.full(shape, w)}, 'head': jnp.array(head)}

  name = discriminative.extractor_hash(params())
  assert len(name) == 12 and int(name, 16) >= 0
  assert name == discriminative.extractor_hash(params(head=1.0))
  for other in (params(2.0), params(name='v'), params(shape=(4, 1))):
    assert name != discriminative.extractor_hash(other)
