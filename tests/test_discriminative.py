"""A discriminative network is features and a head, and its losses are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax import discriminative
from genjax.networks.cnn import ResNet

IMAGES = jax.random.normal(jax.random.key(0), (6, 8, 8, 1))
MODEL = discriminative.make_discriminative(ResNet((8, 8), features=12), 5)


@pytest.fixture(name='params', scope='module')
def _params():
  return MODEL.init(jax.random.key(1), IMAGES)


def test_logits_are_a_linear_map_of_the_features(params):
  features = MODEL.features(params, IMAGES)
  assert features.shape == (6, 12)
  head = params['head']
  np.testing.assert_allclose(
      MODEL.logits(params, IMAGES), features @ head['kernel'] + head['bias'],
      rtol=1e-4, atol=1e-5)


def test_classification_loss_is_the_cross_entropy(params):
  batch = {'x': IMAGES, 'label': jnp.arange(6) % 5, 'index': jnp.arange(6)}
  loss_fn = discriminative.make_classification_loss(MODEL, train=False)
  loss, metrics = loss_fn(params, jax.random.key(0), batch)
  logits = MODEL.logits(params, IMAGES)
  want = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch['label'])
  np.testing.assert_allclose(loss, want.mean(), rtol=1e-5)
  np.testing.assert_allclose(
      metrics['accuracy'], np.mean(np.argmax(logits, 1) == batch['label']))


def test_mixup_of_one_example_with_itself_is_no_mixup(params):
  """All images and labels alike: mixing them changes nothing."""
  batch = {'x': jnp.repeat(IMAGES[:1], 6, 0), 'label': jnp.full(6, 2),
           'index': jnp.arange(6)}
  plain, mixed = (discriminative.make_classification_loss(MODEL, mixup=a)(
      params, jax.random.key(0), batch)[0] for a in (0.0, 0.4))
  np.testing.assert_allclose(mixed, plain, rtol=1e-5)


def test_line_fit_is_maximum_likelihood():
  """At the line of least squares and its residual, all slopes vanish."""
  rng = np.random.default_rng(0)
  t = rng.uniform(-1, 1, 200)
  y = 2 * t - 1 + 0.3 * rng.normal(size=200)
  slope, shift = np.polyfit(t, y, 1)
  spread = np.std(y - slope * t - shift)
  line = discriminative.Discriminative(
      None, None, lambda p, x: jnp.concatenate(
          [p[0] * x + p[1], jnp.full_like(x, p[2])], -1))
  loss_fn = discriminative.make_regression_loss(line, 1)
  batch = {'x': jnp.asarray(np.stack([t, y], -1), jnp.float32)}
  best = jnp.asarray([slope, shift, np.log(spread)], jnp.float32)
  loss, grads = jax.value_and_grad(
      lambda p: loss_fn(p, None, batch)[0])(best)
  np.testing.assert_allclose(grads, np.zeros(3), atol=1e-4)
  want = np.log(spread) + 0.5 * np.log(2 * np.pi) + 0.5
  np.testing.assert_allclose(loss, want, rtol=1e-4)


def test_shift_images_moves_by_whole_pixels():
  keys = jax.random.split(jax.random.key(0), 200)
  x = jnp.tile(IMAGES[:1], (200, 1, 1, 1))
  moved = np.asarray(discriminative.shift_images(keys, x))
  padded = np.pad(np.asarray(IMAGES[0]), [(1, 1), (1, 1), (0, 0)],
                  constant_values=-1)
  want = {padded[i:i + 8, j:j + 8].tobytes() for i in range(3)
          for j in range(3)}
  assert {image.tobytes() for image in moved} == want


@pytest.mark.parametrize('scales, want', [
    ([1, 1, 1, 1], 4), ([1, 0, 0, 0], 1), ([1, 1, 0, 0], 2)])
def test_effective_dimension_counts_directions_of_equal_variance(scales, want):
  """Of an orthogonal design, whose covariance is exact."""
  design = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1],
                     [1, -1, -1, 1]])
  x = np.concatenate([design, -design]) * scales
  np.testing.assert_allclose(
      discriminative.effective_dimension(jnp.asarray(x, jnp.float32)), want,
      rtol=1e-5)


@pytest.mark.parametrize('make, message', [
    (functools.partial(discriminative.make_discriminative, ResNet(), 0),
     'num_outputs must be positive'),
    (functools.partial(discriminative.make_classification_loss, MODEL,
                       mixup=-1.0), 'mixup must not be negative'),
    (lambda: ResNet((8, 8)).init(jax.random.key(0), jnp.zeros((1, 7, 8, 1))),
     'multiples of 2'),
])
def test_bad_options_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
