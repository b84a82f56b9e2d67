"""How large the loss is at each noise level: a learned uncertainty.

Karras et al., arXiv:2312.02696, eq. 14, 15. Where it is trained, exp(u) is the
expected loss at a level; the loss may be divided by it, and times drawn by it.
"""

import jax.numpy as jnp

from genjax.diffusion import times
from genjax.networks.embeddings import LOG_SNR
from genjax.networks.embeddings import sinusoidal_features
from genjax.types import Array
from genjax.types import Params
from genjax.types import Process
from genjax.types import Quantile

_FEATURES = 32


def init_uncertainty() -> dict[str, Array]:
  """Params of `log_size`, by which it is 0 at every level."""
  return {'kernel': jnp.zeros(_FEATURES), 'bias': jnp.zeros(())}


def log_size(weighting: Params, log_snr: Array) -> Array:
  """u [B]: the logarithm of the expected loss at each log-SNR [B].

  Linear in sines and cosines of the log-SNR, waves of 6 to 100 nats.
  """
  features = sinusoidal_features(log_snr, _FEATURES, LOG_SNR)
  return features @ weighting['kernel'] + weighting['bias']


def times_of(process: Process, params: Params) -> Quantile:
  """Times drawn by what is expected of the loss, `times.importance`."""
  return times.importance(
      process, lambda log_snr: jnp.exp(log_size(params['weighting'], log_snr)))
