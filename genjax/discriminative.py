"""Discriminative networks: a feature extractor and a task-specific head.

    model = make_discriminative(ResNet(), num_outputs=10)
    params = model.init(key, x)
    model.features(params, x)  # [B, F], usually far fewer than x has
    model.logits(params, x)  # [B, K], a linear map of the features
"""

import hashlib
from typing import Callable, Mapping, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.checks import check_rank
from genjax.distributions import normal
from genjax.distributions import NormalParams
from genjax.metrics.classification import likeliest
from genjax.numerics import batch_mean
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import widen
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params


class Forward(Protocol):
  """x [B, ...] to features [B, F] or outputs [B, K] of a network."""

  def __call__(
      self, params: Params, x: Array, *, train: bool = False,
      rngs: Mapping[str, Key] | None = None,
  ) -> Array:
    ...


class Discriminative(NamedTuple):
  """A network in two parts, said as pure functions of one params pytree."""

  init: Callable[[Key, Array], Params]  # (key, x [B, ...]) -> params
  features: Forward  # -> [B, F]
  logits: Forward  # -> [B, K]: what the head makes of the features


class _Network(nn.Module):
  """`extractor`, a linear head, and outputs that no input changes."""

  extractor: nn.Module
  num_outputs: int
  num_constants: int

  def setup(self):
    self.head = nn.Dense(self.num_outputs)
    if self.num_constants:
      self.constants = self.param('constants', nn.initializers.zeros_init(),
                                  (self.num_constants,))

  def features(self, x: Array, *, train: bool = False) -> Array:
    # Whatever it computes in, what it says is float32 or wider.
    return widen(self.extractor(x, train=train))

  def __call__(self, x: Array, *, train: bool = False) -> Array:
    outputs = self.head(self.features(x, train=train))
    if not self.num_constants:
      return outputs
    constants = jnp.broadcast_to(self.constants, (len(x), self.num_constants))
    return jnp.concatenate([outputs, constants], axis=-1)


def make_discriminative(
    extractor: nn.Module, num_outputs: int, *, num_constants: int = 0
) -> Discriminative:
  """A feature extractor with a linear head on it.

  Args:
    extractor: a Flax module, (x [B, ...], train=...) to [B, F]. Where it has
      parameters, they are params['extractor'].
    num_outputs: of the head: classes, or numbers that a regression needs.
    num_constants: further outputs, which are parameters and so the same for
      every x: the logarithm of a constant scale.

  Returns:
    A `Discriminative` with K = num_outputs + num_constants.

  Raises:
    ValueError: no output, or a negative number of constants.
  """
  where = 'make_discriminative'
  check_positive(where, 'num_outputs', num_outputs)
  check(num_constants >= 0, where, 'num_constants must not be negative',
        num_constants)
  network = _Network(extractor, num_outputs, num_constants)

  def forward(method):
    def call(params, x, *, train=False, rngs=None):
      return network.apply({'params': params}, x, train=train, rngs=rngs,
                           method=method)
    return call

  return Discriminative(
      init=lambda key, x: network.init(key, x)['params'],
      features=forward(_Network.features), logits=forward(_Network.__call__))


def make_classification_loss(
    model: Discriminative, *, label_smoothing: float = 0.0, mixup: float = 0.0,
    augment: Callable[[Array, Array], Array] | None = None, train: bool = True,
) -> LossFn:
  """Cross-entropy of the labels in nats, a mean over the batch.

  Args:
    model: its logits are those of the classes.
    label_smoothing: share of the label's mass spread evenly over all classes
      (arXiv:1512.00567, section 7).
    mixup: concentration a of the weight ~ Beta(a, a) by which an example is
      mixed with its neighbour in the batch (arXiv:1710.09412); 0 is none. The
      neighbour is one on the same device under `pmap`.
    augment: (keys [B], x [B, ...]) -> x, as `shift_images`.
    train: False leaves all of these and dropout out.

  Returns:
    LossFn over batches {'x' [B, ...], 'cond': {'label' [B]}, 'index' [B]}, and
    'mask' [B] if some examples are to be left out; metrics 'accuracy', of the
    label that has the larger share of a mix. Both are NaN where a logit is, and
    in float32 whatever the network computes in.

  Raises:
    ValueError: label_smoothing is outside [0, 1], or mixup is negative.
  """
  where = 'make_classification_loss'
  check_in_range(where, 'label_smoothing', label_smoothing, 0.0, 1.0)
  check(mixup >= 0, where, 'mixup must not be negative', mixup)

  def loss_fn(params, key, batch, context):
    del context
    x, label = batch['x'], batch['cond']['label']
    key_augment, key_mix, key_dropout = jax.random.split(key, 3)
    keys = fold_in_each(key_augment, batch['index'])
    if train and augment is not None:
      x = augment(keys, x)
    share = jnp.ones(label.shape)
    if train and mixup > 0:
      keys = fold_in_each(key_mix, batch['index'])
      draw = jax.vmap(lambda key: jax.random.beta(key, mixup, mixup))(keys)
      share = jnp.maximum(draw, 1 - draw)  # its own has the larger one
      weight = broadcast_right(share, x.ndim)
      x = weight * x + (1 - weight) * jnp.roll(x, 1, axis=0)
    logits = widen(model.logits(
        params, x, train=train,
        rngs={'dropout': key_dropout} if train else None))
    one_hot = jax.nn.one_hot(label, logits.shape[-1])
    target = (share[:, None] * one_hot
              + (1 - share[:, None]) * jnp.roll(one_hot, 1, axis=0))
    if train:
      target = optax.smooth_labels(target, label_smoothing)
    right = jnp.argmax(logits, axis=-1) == label
    # The largest of NaN is a class like any other.
    right = jnp.where(jnp.isnan(logits).any(-1), jnp.nan, right)
    nats = optax.softmax_cross_entropy(logits, target)
    return batch_mean(batch, nats), {'accuracy': batch_mean(batch, right)}

  return loss_fn


def predictive(outputs: Array) -> NormalParams:
  """What a regression's outputs [B, 2 T] say of its targets [B, T].

  The first T are means, the others logarithms of standard deviations.
  """
  loc, log_scale = jnp.split(outputs, 2, axis=-1)
  return NormalParams(loc, jnp.exp(log_scale))


def make_regression_loss(model: Discriminative, num_inputs: int) -> LossFn:
  """-log p(target | input) in nats, Gaussian, a mean over the batch.

  With a scale that no input changes, the best head is the line of least
  squares through (features, target), and the scale its root mean square
  residual: a line fit is maximum likelihood.

  Args:
    model: its outputs are those of `predictive`.
    num_inputs: coordinates of a point that are inputs; the rest are targets.

  Returns:
    LossFn over batches {'x' [B, D]}, and 'mask' [B] if some examples are to be
    left out; metrics 'squared_error', of the mean.
  """

  def loss_fn(params, key, batch, context):
    del key, context
    inputs, target = jnp.split(batch['x'], [num_inputs], axis=-1)
    said = predictive(model.logits(params, inputs))
    nats = jnp.sum(normal.log_prob(said, target), axis=-1)
    squared = jnp.mean(jnp.square(target - said.loc), axis=-1)
    return -batch_mean(batch, nats), {
        'squared_error': batch_mean(batch, squared)}

  return loss_fn


def shift_images(
    keys: Key, x: Array, *, most: int = 1, probability: float = 0.5,
    fill: float = -1.0
) -> Array:
  """Images [B, H, W, C], some moved by whole pixels.

  Args:
    keys: [B].
    x: the images.
    most: pixels, down or up and right or left, uniform and independent.
    probability: of being moved (by nothing, perhaps).
    fill: value of what comes in from outside, which the dtype of x must hold;
      -1 is black where pixels are in [-1, 1].

  Raises:
    ValueError: x is of whole numbers, and `fill` is not one of them.
  """
  dtype = jnp.result_type(x)
  if jnp.issubdtype(dtype, jnp.integer):
    info = jnp.iinfo(dtype)
    check(info.min <= fill <= info.max and fill == int(fill), 'shift_images',
          f'fill must be a number of {dtype} as x is', fill)

  def shift(key, image):
    key_offset, key_move = jax.random.split(key)
    offset = jax.random.randint(key_offset, (2,), 0, 2 * most + 1)
    offset = jnp.where(jax.random.bernoulli(key_move, probability), offset,
                       most)
    padded = jnp.pad(image, [(most, most), (most, most), (0, 0)],
                     constant_values=fill)
    return jax.lax.dynamic_slice(padded, (*offset, 0), image.shape)

  return jax.vmap(shift)(keys, x)


def in_blocks(
    forward: Callable[[np.ndarray], Array], x: np.ndarray, size: int = 500
) -> np.ndarray:
  """`forward` of x [N, ...], of which it is given `size` rows at a time.

  Of no rows it is given all at once.
  """
  shared = parallel.on_every_device(lambda params, key, x: forward(x))
  return np.concatenate([np.asarray(shared(None, None, x[i:i + size]))
                         for i in range(0, max(len(x), 1), size)])


def classification_scores(
    logits: np.ndarray, label: np.ndarray
) -> dict[str, float]:
  """Mean cross-entropy 'loss' in nats, and 'accuracy'.

  Args:
    logits: [N, K]; a row with a NaN is of no class.
    label: int [N].
  """
  log_p = np.asarray(jax.nn.log_softmax(logits))
  right = likeliest(np.asarray(logits)) == label
  return {'loss': -float(log_p[np.arange(len(label)), label].mean()),
          'accuracy': float(right.mean())}


def regression_scores(
    outputs: np.ndarray, target: np.ndarray
) -> dict[str, float]:
  """Mean -log p(target) 'loss' in nats, and 'squared_error' of the mean.

  Args:
    outputs: [N, 2 T], see `predictive`.
    target: [N, T].
  """
  said = predictive(jnp.asarray(outputs))
  nats = -jnp.sum(normal.log_prob(said, jnp.asarray(target)), axis=-1)
  return {'loss': float(nats.mean()),
          'squared_error': float(np.square(target - said.loc).mean())}


class Components(NamedTuple):
  """Principal components of N points in D dimensions, R = min(N, D)."""

  mean: Array  # [D]
  directions: Array  # [R, D], orthonormal
  variances: Array  # [R], along each direction, decreasing


def principal_components(x: Array) -> Components:
  """Principal component analysis of x [N, D], by its singular values.

  Raises:
    ValueError: x is no matrix, or has no rows.
  """
  check_rank('principal_components', 'x', x, 2)
  check(len(x) > 0, 'principal_components', 'x must hold a row', len(x))
  x = widen(x)
  mean = jnp.mean(x, axis=0)
  _, singular, directions = jnp.linalg.svd(x - mean, full_matrices=False)
  return Components(mean, directions, jnp.square(singular / len(x)**0.5))


def effective_dimension(variances: Array) -> Array:
  """Participation ratio of principal variances [R]: in [1, R].

  (sum v)^2 / sum v^2: R where all directions vary alike, 1 where a single one
  does, NaN where none does.
  """
  # Of shares: squares of variances are fourth powers of the data's unit.
  share = variances / jnp.max(variances)
  return jnp.square(jnp.sum(share)) / jnp.sum(jnp.square(share))


def in_two_dimensions(
    features: np.ndarray
) -> tuple[np.ndarray, tuple[str, str]]:
  """Features [N, F] on their first two principal components, and names."""
  found = principal_components(jnp.asarray(features))
  # A component has no sign: one of its own keeps an animation from jumping.
  directions = np.asarray(found.directions[:2])
  sign = np.sign(directions[np.arange(len(directions)),
                            np.abs(directions).argmax(1)])
  seen = (features - found.mean) @ (sign[:, None] * directions).T
  part = np.asarray(found.variances / found.variances.sum())
  names = [f'component {i + 1}: {part[i]:.0%} of the variance'
           for i in range(len(directions))]
  if len(names) < 2:
    return np.pad(seen, [(0, 0), (0, 1)]), (names[0], '')
  return seen, (names[0], names[1])


def extractor_hash(params: Params) -> str:
  """A short name of the feature extractor in `params`: 12 hexadecimal digits.

  Of the sha256 of its parameters, in the order of their paths. Metrics on
  features are comparable under one name only.
  """
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params['extractor']):
    x = np.ascontiguousarray(leaf)
    digest.update(f'{jax.tree_util.keystr(path)} {x.dtype} {x.shape}'.encode())
    digest.update(x.tobytes())
  return digest.hexdigest()[:12]
