"""Bounds of log p(x) of a VAE, from below and from above.

From below: the ELBO, importance-weighted bounds of k codes from the encoder,
and annealed importance sampling (AIS) over T temperatures, which starts at the
prior. Of what the model drew itself, whose codes are known, also from above by
chains in reverse.
"""

import functools
from typing import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.mcmc import sigmoid_betas
from genjax.numerics import log_mean_exp
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.vae import annealing
from genjax.vae import objectives
from genjax.vae.model import VAE

# Codes of an image in a bound: each divides the largest, of which all are made.
_IWAE = (5, 50, 1000)
_BLOCK = 8  # images of which that many codes are decoded at once

Row = dict[str, np.ndarray]  # name of a bound -> nats [B]


def make_weighted(vae: VAE) -> Callable[..., Row]:
  """(key, params, x [B, ...], label) -> bounds by codes from the encoder."""

  @jax.jit
  def call(key, params, x, label):

    def of_one(row):
      x, label, index = row
      nats = objectives.log_weights(key, vae, params, x, label,
                                    num_samples=max(_IWAE), index=index)[:, 0]
      return jnp.mean(nats), *(
          jnp.mean(log_mean_exp(nats.reshape(k, -1))) for k in _IWAE)

    # Examples of one, as every row of a block is mapped.
    rows = jax.tree.map(lambda a: a[:, None], (x, label, jnp.arange(len(x))))
    return jax.lax.map(of_one, rows, batch_size=_BLOCK)

  names = ('ELBO', *(f'IWAE-{k}' for k in _IWAE))
  return lambda *args: dict(zip(names, jax.device_get(call(*args))))


def bound(
    key: Key, vae: VAE, params: Params, test: tuple[Array, Array | None],
    drawn: tuple[Array, Array, Array | None], *, temperatures: Sequence[int],
    num_chains: int
) -> tuple[Row, Row, dict[str, float]]:
  """Bounds of test images (x, label) and of drawn ones (x, z, label).

  Returns:
    The bounds of both, and the acceptance of each AIS's moves.
  """
  x, label = test
  own, z, own_label = drawn
  weighted, low, high = make_weighted(vae), *(
      jax.jit(functools.partial(f, vae=vae, num_chains=num_chains))
      for f in (annealing.annealed_log_likelihood,
                annealing.annealed_upper_bound))
  parts = iter(jax.random.split(key, 2 + 3 * len(temperatures)))
  rows = (weighted(next(parts), params, x, label),
          weighted(next(parts), params, own, own_label))
  accepted = {}
  for num in temperatures:
    fixed = {'params': params, 'betas': sigmoid_betas(num)}
    found = (low(next(parts), x=x, label=label, **fixed),
             low(next(parts), x=own, label=own_label, **fixed),
             high(next(parts), x=own, z=z, label=own_label, **fixed))
    for row, of, name, (nats, acceptance) in zip(
        (*rows, rows[1]), ('test', 'drawn', 'drawn'),
        ('AIS', 'AIS', 'reverse AIS'), found):
      row[f'{name}-{num}'] = np.asarray(nats.value)
      accepted[f'{of} {name}-{num}'] = float(jnp.mean(acceptance))
  most = f'AIS-{temperatures[-1]}'
  for row in rows:
    row[f'{most} less IWAE-{max(_IWAE)}'] = row[most] - row[
        f'IWAE-{max(_IWAE)}']
  rows[1][f'reverse {most} less {most}'] = (
      rows[1][f'reverse {most}'] - rows[1][most])
  return *rows, accepted
