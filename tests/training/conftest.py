"""A tiny noisy regression, small enough that tests of training take no time."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.training.averages import ema
from genjax.training.optimizers import make_optimizer
from genjax.types import Mean

BATCH = 16


def loss_fn(params, key, batch, context):
  """Squared error to the noise of each example, and metrics of every kind."""
  del context
  noise = normal_each(fold_in_each(key, batch['index']), (8,))
  error = jnp.tanh(batch['x'] @ params['w']) + params['b'] - noise
  each = jnp.mean(error ** 2, axis=1)
  far = each > 1.0
  return jnp.mean(each), {
      'noise': jnp.mean(noise),
      'far': Mean(jnp.sum(each * far), jnp.sum(far)),
  }


def batches_from(start):
  """Batches as a function of the step, without an end."""
  step = start
  while True:
    random = np.random.default_rng(step)
    yield {'x': random.normal(size=(BATCH, 16)).astype(np.float32),
           'index': np.arange(BATCH, dtype=np.int32)}
    step += 1


@pytest.fixture(scope='session')
def problem():
  return types.SimpleNamespace(
      loss_fn=loss_fn,
      batches_from=batches_from,
      params={'w': jax.random.normal(jax.random.key(1), (16, 8)),
              'b': jnp.zeros(8)},
      tx=make_optimizer(1e-2, 40, warmup_steps=3),
      key=jax.random.key(2),
      averages={'ema': ema(0.9)})
