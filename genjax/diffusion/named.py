"""Diffusion models of parts that are chosen by name.

A part is added by a function and a row of one of the tables below.
"""

from typing import Any, Callable, Mapping, NamedTuple

import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_choice
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process


class Parts(NamedTuple):
  """What a diffusion model is made of."""

  shape: tuple[int, ...]  # of an example
  num_classes: int | None  # that it is told; None takes no labels
  data_std: float  # of the data, as the network is given them
  network: str
  width: tuple[int, ...]  # of its levels; one number but for a unet
  depth: int  # blocks, of each level of a unet
  attention_levels: tuple[int, ...]  # of a unet; 0 is the finest
  head_dim: int  # of self-attention
  groups: int  # of a unet's normalisation
  patch_size: int  # of a dit
  dropout: float
  process: str
  sigma_min: float  # noise over signal of edm and ve
  sigma_max: float
  times_mean: float  # of the training times of edm and ve, as ln noise / signal
  times_std: float
  prediction: str


NETWORKS: Mapping[str, Callable[..., Any]] = {
    'unet': lambda p, **common: UNet(
        channels=p.width, layers_per_block=p.depth,
        attention_levels=p.attention_levels, head_dim=p.head_dim,
        groups=p.groups, **common),
    'dit': lambda p, **common: DiT(
        patch_size=p.patch_size, features=p.width[0], depth=p.depth,
        head_dim=p.head_dim, **common),
    'mlp': lambda p, **common: MLP(
        features=p.width[0], depth=p.depth, **common),
}

# What the width of each must be a multiple of.
_MULTIPLES: Mapping[str, Callable[[Parts], int]] = {
    'unet': lambda p: p.groups,
    'dit': lambda p: p.head_dim,
    'mlp': lambda p: 2,
}


def _trained_at(proc: Process, p: Parts) -> Process:
  """`proc` with training times of its own."""
  return proc._replace(
      times=times.log_normal(proc, p.times_mean, p.times_std))


PROCESSES: Mapping[str, Callable[[Parts], Process]] = {
    'edm': lambda p: _trained_at(process.edm(p.sigma_min, p.sigma_max), p),
    've': lambda p: _trained_at(process.ve(p.sigma_min, p.sigma_max), p),
    'vp_linear': lambda p: process.vp_linear(),
    'vp_cosine': lambda p: process.vp_cosine(),
    'ddpm': lambda p: process.discretize(process.linear_betas()),
    'flow_matching': lambda p: process.flow_matching(),
}

# What the network predicts, and the weighting that goes with it.
PREDICTIONS: Mapping[str, Callable[
    [Parts], tuple[prediction.Prediction, weighting.Weighting]]] = {
        'x0': lambda p: (prediction.x0, weighting.min_snr()),
        'eps': lambda p: (prediction.eps, weighting.eps),
        'v': lambda p: (prediction.v, weighting.v),
        'velocity': lambda p: (prediction.velocity, weighting.flow_matching),
        'edm': lambda p: (prediction.edm(p.data_std),
                          weighting.edm(p.data_std)),
}


class Method(NamedTuple):
  """A method of drawing; no part of a model."""

  make: Callable[..., samplers.Sampler]  # (process, **options) -> Sampler
  options: tuple[str, ...] = ()  # that may be given


SAMPLERS: Mapping[str, Method] = {
    'ddpm': Method(samplers.ancestral),
    'ddim': Method(samplers.ddim, ('eta',)),
    'euler': Method(samplers.euler),
    'euler_maruyama': Method(samplers.euler_maruyama),
    'heun': Method(samplers.heun, ('churn',)),
    'dpm_2': Method(samplers.dpm_2),
    'dpm_solver_2s': Method(samplers.dpm_solver_2s),
    'dpm_solver_2m': Method(samplers.dpm_solver_2m),
    'dpm_solver_3m': Method(samplers.dpm_solver_3m),
    'dpm_solver_2m_sde': Method(samplers.dpm_solver_2m_sde, ('tau',)),
    'dpm_solver_3m_sde': Method(samplers.dpm_solver_3m_sde, ('tau',)),
    'unipc': Method(samplers.unipc),
    'deis': Method(samplers.deis),
    'predictor_corrector': Method(samplers.predictor_corrector),
    'restart': Method(samplers.restart),
    'adaptive': Method(samplers.adaptive),
}


def make_sampler(
    name: str, proc: Process, **options: float | None
) -> samplers.Sampler:
  """The sampler of a row of SAMPLERS.

  Args:
    name: of the row.
    proc: the process.
    **options: of the method; None where they are left to it.

  Raises:
    ValueError: an unknown name, an option that the method has not, or one out
      of range; the message begins with the field.
  """
  check_choice('sampler', 'it', name, SAMPLERS)
  method = SAMPLERS[name]
  given = {key: value for key, value in options.items() if value is not None}
  for key, value in given.items():
    check(key in method.options, key,
          f'must be absent for the sampler {name}', value)
  return method.make(proc, **given)


class Made(NamedTuple):
  """A model, and what goes with it."""

  init: Callable[[Key], Params]
  diffusion: Diffusion
  process: Process  # that of `diffusion`, whose schedule is fixed
  weighting: weighting.Weighting  # of its training loss


def make(parts: Parts) -> Made:
  """The model of `parts`.

  Raises:
    ValueError: an unknown name, or parts that do not fit together; the message
      begins with the field.
  """
  for field, table in (('network', NETWORKS), ('process', PROCESSES),
                       ('prediction', PREDICTIONS)):
    check_choice(field, 'it', getattr(parts, field), table)
  network = _network(parts)
  check(parts.process not in ('edm', 've')
        or parts.sigma_min < parts.sigma_max, 'sigma_min',
        'must be below sigma_max', (parts.sigma_min, parts.sigma_max))
  proc = PROCESSES[parts.process](parts)
  predicted, weight = PREDICTIONS[parts.prediction](parts)
  prediction.check_defined('prediction', proc, predicted)

  def init(key: Key) -> Params:
    return init_model(network.init(key, jnp.zeros((1, *parts.shape)),
                                   jnp.zeros(1))['params'])

  return Made(init, Diffusion(network.apply, fixed(proc), predicted,
                              parts.data_std), proc, weight)


def _network(parts: Parts) -> Any:
  name, width, levels = parts.network, parts.width, parts.attention_levels
  check((len(parts.shape) == 1) == (name == 'mlp'), 'network',
        'must be mlp for points (--preset=toy) and unet or dit for images',
        f'{name} for data of shape {parts.shape}')
  check(len(width) >= 1 and (name == 'unet' or len(width) == 1), 'width',
        'must be one number for a dit or mlp, and one or more for a unet',
        f'{width} for a {name}')
  multiple = _MULTIPLES[name](parts)
  check(all(w % multiple == 0 for w in width), 'width',
        f'must be multiples of {multiple} for a {name}', width)
  check(name != 'unet' or max(levels, default=0) < len(width),
        'attention_levels', f'must be below {len(width)}, the levels of width',
        levels)
  return NETWORKS[name](parts, dropout=parts.dropout,
                        num_classes=parts.num_classes)
