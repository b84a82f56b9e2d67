"""Diffusion models of parts that are chosen by name.

A part is added by a function and a row of one of the tables below.
"""

import math
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import augment
from genjax.diffusion import conditions
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import schedule
from genjax.diffusion import shift
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import ProcessOf
from genjax.diffusion.uncertainty import init_uncertainty
from genjax.networks.mlp import MLP
from genjax.networks.mp_unet import MPUNet
from genjax.networks.transformer import DiT
from genjax.networks.transformer import SignalDiT
from genjax.networks.unet import UNet
from genjax.numerics import widen
from genjax.types import Apply
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process


class Parts(NamedTuple):
  """What a diffusion model is made of."""

  shape: tuple[int, ...]  # of an example
  num_classes: int | None  # that it is told; None takes no labels
  data_std: float  # of the data, as the network is given them
  network: str
  width: tuple[int, ...]  # of its levels; one number but for U_NETS
  depth: int  # blocks, of each level of a unet or mp_unet
  attention_levels: tuple[int, ...]  # of these; 0 is the finest
  head_dim: int  # of self-attention
  groups: int  # of a unet's normalisation
  patch_size: int  # of a dit
  dropout: float
  dtype: str  # in which the network computes
  fourier: tuple[int, ...]  # powers of two of waves of its input; see `_waves`
  process: str
  sigma_min: float  # noise over signal of edm, ve and learned
  sigma_max: float
  log_snr_shift: float  # of vp_cosine and flow_matching, nats
  times_mean: float  # of the training times of edm and ve, as ln noise / signal
  times_std: float
  prediction: str
  weighting: str | None  # None is that which goes with the prediction
  uncertainty: bool  # whether each level's expected loss is learned
  times: str  # of training: one of TIMES
  # Of each of the numbers that it is told, in their own units; () for none.
  vector_mean: tuple[float, ...] = ()
  vector_std: tuple[float, ...] = ()
  augmented: bool = False  # whether it is told how an image was changed
  remat: bool = False  # whether the backward pass recomputes each block


def _dit(p: Parts, **common: Any) -> DiT | SignalDiT:
  signal = len(p.shape) == 2
  network = DiT(patch_size=1 if signal else p.patch_size, features=p.width[0],
                depth=p.depth, head_dim=p.head_dim, **common)
  return SignalDiT(network, p.patch_size) if signal else network


NETWORKS: Mapping[str, Callable[..., Any]] = {
    'unet': lambda p, **common: UNet(
        channels=p.width, layers_per_block=p.depth,
        attention_levels=p.attention_levels, head_dim=p.head_dim,
        groups=p.groups, **common),
    'mp_unet': lambda p, **common: MPUNet(
        channels=p.width, layers_per_block=p.depth,
        attention_levels=p.attention_levels, head_dim=p.head_dim, **common),
    'dit': _dit,
    'mlp': lambda p, **common: MLP(
        features=p.width[0], depth=p.depth, **common),
}

U_NETS = ('unet', 'mp_unet')  # of as many levels as widths


# What the width of each must be a multiple of.
_MULTIPLES: Mapping[str, Callable[[Parts], int]] = {
    'unet': lambda p: p.groups,
    'mp_unet': lambda p: 1,
    'dit': lambda p: p.head_dim,
    'mlp': lambda p: 2,
}


def _trained_at(proc: Process, p: Parts) -> Process:
  """`proc` with training times of its own."""
  return proc._replace(
      times=times.log_normal(proc, p.times_mean, p.times_std))


def _shifted(proc: Process, p: Parts, power: int) -> Process:
  return proc if p.log_snr_shift == 0 else shift.shifted(
      proc, p.log_snr_shift, power=power)


PROCESSES: Mapping[str, Callable[[Parts], Process]] = {
    'edm': lambda p: _trained_at(process.edm(p.sigma_min, p.sigma_max), p),
    've': lambda p: _trained_at(process.ve(p.sigma_min, p.sigma_max), p),
    'vp_linear': lambda p: process.vp_linear(),
    'sub_vp': lambda p: process.sub_vp(),
    'vp_cosine': lambda p: _shifted(process.vp_cosine(), p, power=2),
    'ddpm': lambda p: process.discretize(process.linear_betas()),
    'flow_matching': lambda p: _shifted(process.flow_matching(), p, power=1),
}
_SHIFTED = ('vp_cosine', 'flow_matching')


class Learned(NamedTuple):
  """A process whose schedule is learned."""

  init: Callable[[Key], Params]  # of params['schedule']
  process_of: ProcessOf


LEARNED: Mapping[str, Callable[[Parts], Learned]] = {
    'learned': lambda p: Learned(schedule.init_schedule,
                                 schedule.learned(_ends(p))),
}


def _ends(p: Parts) -> tuple[float, float]:
  """Log-SNR of the most noise and of the least."""
  return -2 * math.log(p.sigma_max), -2 * math.log(p.sigma_min)


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

# In place of the one that goes with the prediction.
WEIGHTINGS: Mapping[str, Callable[[Parts], weighting.Weighting]] = {
    'x0': lambda p: weighting.x0,
    'eps': lambda p: weighting.eps,
    'v': lambda p: weighting.v,
    'velocity': lambda p: weighting.flow_matching,
    'edm': lambda p: weighting.edm(p.data_std),
    'elbo': lambda p: weighting.elbo,
    'min_snr': lambda p: weighting.min_snr(),
    'p2': lambda p: weighting.p2(),
    'sigmoid': lambda p: weighting.sigmoid(),
}

# Training times: those of the process; even in log-SNR between its noise levels
# sigma_min and sigma_max; or more often where the loss is larger.
TIMES = ('process', 'log_snr', 'importance')


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
  process: Process | None  # that of `diffusion` if its schedule is fixed
  init_schedule: Callable[[Key], Params]  # a part of `init`
  weighting: weighting.Weighting  # of its training loss


def make(parts: Parts) -> Made:
  """The model of `parts`.

  Raises:
    ValueError: an unknown name, or parts that do not fit together; the message
      begins with the field.
  """
  for field, table in (('network', NETWORKS),
                       ('process', (*PROCESSES, *LEARNED)),
                       ('prediction', PREDICTIONS), ('times', TIMES)):
    check_choice(field, 'it', getattr(parts, field), table)
  network = _network(parts)
  proc, init_schedule, process_of = _process(parts)
  predicted, weight = PREDICTIONS[parts.prediction](parts)
  if proc is not None:
    prediction.check_defined('prediction', proc, predicted)
  if proc is None or parts.weighting is not None:
    weight = WEIGHTINGS[parts.weighting or 'elbo'](parts)

  def init(key: Key) -> Params:
    if proc is None:
      key, key_schedule = jax.random.split(key)
    x = _waves(parts, jnp.zeros((1, *parts.shape)))
    return init_model(
        network.init(key, x, jnp.zeros(1))['params'],
        init_schedule(key_schedule) if proc is None else None,
        init_uncertainty() if parts.uncertainty or parts.times == 'importance'
        else None)

  def apply(variables: Any, x: Array, *args: Any, **kwargs: Any) -> Array:
    output = network.apply(variables, _waves(parts, x), *args, **kwargs)
    return output[..., :x.shape[-1]]  # of the waves nothing is asked

  told: Apply = apply if parts.fourier else network.apply
  if parts.vector_mean:
    told = conditions.standardising(told, parts.vector_mean, parts.vector_std)
  return Made(init, Diffusion(told, process_of, predicted, parts.data_std),
              proc, init_schedule, weight)


def _process(
    parts: Parts
) -> tuple[Process | None, Callable[[Key], Params], ProcessOf]:
  """(process or None, (key) -> params of its schedule, process_of)."""
  name = parts.process
  bounded = name in LEARNED or parts.times == 'log_snr'
  check(not (bounded or name in ('edm', 've'))
        or parts.sigma_min < parts.sigma_max, 'sigma_min',
        'must be below sigma_max', (parts.sigma_min, parts.sigma_max))
  most = math.exp(0.5 * times.LOG_SNR_LIMIT)
  check(not bounded or (
      1 / most <= parts.sigma_min and parts.sigma_max <= most), 'sigma_min',
        f'and sigma_max must be within [{1 / most:.2g}, {most:.2g}] here',
        (parts.sigma_min, parts.sigma_max))
  check(parts.log_snr_shift == 0 or name in _SHIFTED, 'log_snr_shift',
        f'must be 0 but for {" and ".join(_SHIFTED)}', parts.log_snr_shift)
  if name not in LEARNED:
    proc = PROCESSES[name](parts)
    if parts.times == 'log_snr':
      proc = proc._replace(times=times.uniform_log_snr(proc, *_ends(parts)))
    return proc, lambda key: {}, fixed(proc)
  # What keeps the bound what it is, whatever the schedule.
  check(parts.weighting in (None, 'elbo'), 'weighting',
        'must be elbo or absent for a learned schedule', parts.weighting)
  check(not parts.uncertainty, 'uncertainty',
        'must be false for a learned schedule', parts.uncertainty)
  check(parts.times == 'process', 'times',
        'must be process for a learned schedule', parts.times)
  return None, *LEARNED[name](parts)


def _waves(parts: Parts, x: Array) -> Array:
  """Input x [B, ..., C] beside sin and cos of 2^n pi times the data in it.

  For each n of `parts.fourier`: what differs by little on the scale of pixels
  is far apart for a network (Kingma et al., arXiv:2107.00630, appendix C).
  """
  angles = [2.0**n * math.pi * parts.data_std * widen(x) for n in parts.fourier]
  waves = [f(angle) for angle in angles for f in (jnp.sin, jnp.cos)]
  return jnp.concatenate([x, *(wave.astype(x.dtype) for wave in waves)], -1)


def _network(parts: Parts) -> Any:
  name, width, levels = parts.network, parts.width, parts.attention_levels
  rank = len(parts.shape)
  check((rank == 1) == (name == 'mlp') and (rank != 2 or name == 'dit'),
        'network', 'must be mlp for points (--preset=toy), unet, mp_unet or '
        'dit for images, and dit for signals',
        f'{name} for data of shape {parts.shape}')
  check(len(width) >= 1 and (name in U_NETS or len(width) == 1), 'width',
        'must be one number for a dit or mlp, and one or more for another',
        f'{width} for a {name}')
  multiple = _MULTIPLES[name](parts)
  check(all(w % multiple == 0 for w in width), 'width',
        f'must be multiples of {multiple} for a {name}', width)
  check(name not in U_NETS or max(levels, default=0) < len(width),
        'attention_levels', f'must be below {len(width)}, the levels of width',
        levels)
  return NETWORKS[name](parts, dropout=parts.dropout, remat=parts.remat,
                        dtype=parts.dtype, num_classes=parts.num_classes,
                        augment_size=augment.SIZE if parts.augmented else None,
                        vector_size=len(parts.vector_mean) or None)
