"""How well a variational autoencoder does on examples: terms of its bounds."""

import itertools
import math
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.data import pipeline
from genjax.numerics import log_mean_exp
from genjax.training import parallel
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape
from genjax.types import Source
from genjax.vae import objectives
from genjax.vae.distribution import code
from genjax.vae.model import VAE

_BLOCK = 100  # examples at a time
_DRAWS = 10  # codes of each example over which the terms are means
_VALUES = 2**19  # that are decoded at a time for the tighter bound
_WORK = 2**25  # of values decoded, beyond which 100 examples must do

# (key, batch of the data) -> the batch as the model is given it.
Inputs = Callable[[Key, Batch], Batch]

# (params, key, batch as the model is given it) -> a pytree of leaves [B, ...].
OfBatch = Callable[[Params, Key, Batch], Any]


class Scores(NamedTuple):
  """Of N examples: the terms of their bounds, and their codes without noise."""

  reconstruction: Any  # nats [N]
  kl: Any  # nats [N]
  code: Any  # [N, Z]
  label: Any  # [N], 0 without classes


def make_scores(
    vae: VAE, inputs: Inputs, key: Key
) -> Callable[[Params, Source], Scores]:
  """(params, source) -> `Scores` of all its examples, in a mixed order.

  Args:
    vae: the model.
    inputs: what it is given of a batch.
    key: of all draws, the same at every call: what changes is the model.
  """

  def of_batch(params: Params, key: Key, batch: Batch) -> Any:
    x, label = batch['x'], batch['cond'].get('label')
    terms = objectives.elbo_terms(key, vae, params, x, label,
                                  num_samples=_DRAWS, index=batch['index'])
    return (terms.reconstruction, jnp.sum(terms.kl, axis=1),
            code(vae, params, x, label))

  call = _over_batches(inputs, key, of_batch)

  def scores(params: Params, source: Source) -> Scores:
    (reconstruction, kl, codes), label = call(params, source)
    return Scores(reconstruction, kl, codes, label)

  return scores


def importance_weighted(
    vae: VAE, inputs: Inputs, key: Key, params: Params, source: Source, *,
    shape: Shape, num_codes: int
) -> np.ndarray:
  """The importance-weighted bound (arXiv:1509.00519, eq. 8), nats [N].

  Of the first 100 examples where that of all would decode too many values.

  Args:
    vae: the model.
    inputs: what it is given of a batch.
    key: of all draws.
    params: of the model.
    source: the examples.
    shape: of each.
    num_codes: K of the bound, a multiple of 50.
  """
  values, size = math.prod(shape), min(len(source), _BLOCK)
  rows = max(rows for rows in (1, 10, 50)
             if rows == 1 or rows * size * values <= _VALUES)

  def of_batch(params: Params, key: Key, batch: Batch) -> Any:

    def some(key: Key) -> Any:
      return objectives.log_weights(
          key, vae, params, batch['x'], batch['cond'].get('label'),
          num_samples=rows, index=batch['index'])

    nats = jax.lax.map(some, jax.random.split(key, num_codes // rows))
    return log_mean_exp(nats.reshape(-1, len(batch['x'])))

  return _over_batches(inputs, key, of_batch)(
      params, source, max(_BLOCK, _WORK // (num_codes * values)))[0]


def active_units(codes: np.ndarray) -> int | None:
  """How many there are; None of one example, over which nothing varies."""
  return int(objectives.active_units(jnp.asarray(codes)).sum()) if (
      len(codes) > 1) else None


def _over_batches(
    inputs: Inputs, key: Key, of_batch: OfBatch
) -> Callable[..., Any]:
  """(params, source, most) -> leaves [N, ...]; compiles once a size."""

  @parallel.on_every_device
  @jax.jit
  def call_batch(params: Params, key: Key, batch: Batch) -> Any:
    key_inputs, key_codes = jax.random.split(key)
    label = batch['cond'].get('label', jnp.zeros(len(batch['x']), int))
    return of_batch(params, key_codes, inputs(key_inputs, batch)), label

  def call(params: Params, source: Source, most: float = math.inf) -> Any:
    size = min(len(source), _BLOCK)
    num = math.ceil(min(len(source), most) / size)
    parts = []
    for number, batch in enumerate(itertools.islice(
        pipeline.eval_batches(source, size), num)):
      kept = batch.pop('mask') > 0
      found = call_batch(params, jax.random.fold_in(key, number), batch)
      parts.append(jax.tree.map(lambda a, k=kept: np.asarray(a)[k], found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

  return call
