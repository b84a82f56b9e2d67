"""The parts of a diffusion model by the names that settings have for them."""

from typing import Any, Callable, Mapping

from genjax.checks import check
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.types import Process

# (settings, number of classes that it is told, or None) -> the network.
NETWORKS: Mapping[str, Callable[..., Any]] = {
    'unet': lambda s, **common: UNet(
        channels=s.width, layers_per_block=s.depth,
        attention_levels=s.attention_levels, head_dim=s.head_dim,
        groups=s.groups, **common),
    'dit': lambda s, **common: DiT(
        patch_size=s.patch_size, features=s.width[0], depth=s.depth,
        head_dim=s.head_dim, **common),
    'mlp': lambda s, **common: MLP(
        features=s.width[0], depth=s.depth, **common),
}

# What the width of each must be a multiple of.
_MULTIPLES: Mapping[str, Callable[[Any], int]] = {
    'unet': lambda s: s.groups,
    'dit': lambda s: s.head_dim,
    'mlp': lambda s: 2,
}


def _trained_at(proc: Process, settings: Any) -> Process:
  """`proc` with the settings' own training times."""
  return proc._replace(times=times.log_normal(
      proc, settings.times_mean, settings.times_std))


PROCESSES: Mapping[str, Callable[[Any], Process]] = {
    'edm': lambda s: _trained_at(process.edm(s.sigma_min, s.sigma_max), s),
    've': lambda s: _trained_at(process.ve(s.sigma_min, s.sigma_max), s),
    'vp_linear': lambda s: process.vp_linear(),
    'vp_cosine': lambda s: process.vp_cosine(),
    'ddpm': lambda s: process.discretize(process.linear_betas()),
    'flow_matching': lambda s: process.flow_matching(),
}

# What the network predicts, and the weighting that goes with it.
PREDICTIONS: Mapping[str, Callable[
    [Any], tuple[prediction.Prediction, weighting.Weighting]]] = {
        'x0': lambda s: (prediction.x0, weighting.min_snr()),
        'eps': lambda s: (prediction.eps, weighting.eps),
        'v': lambda s: (prediction.v, weighting.v),
        'velocity': lambda s: (prediction.velocity, weighting.flow_matching),
        'edm': lambda s: (prediction.edm(s.data_std),
                          weighting.edm(s.data_std)),
}

SAMPLERS: Mapping[str, Callable[[Process], samplers.Sampler]] = {
    'ddpm': samplers.ancestral,
    'ddim': samplers.ddim,
    'euler': samplers.euler,
    'heun': samplers.heun,
    'dpm_solver_2m': samplers.dpm_solver_2m,
}


def make_network(settings: Any, num_classes: int | None) -> Any:
  """The network of settings, for data of their shape.

  Raises:
    ValueError: settings that do not fit each other.
  """
  name, width = settings.network, settings.width
  flat = len(settings.shape) == 1
  check(flat == (name == 'mlp'), 'network',
        'must be mlp for points (--preset=toy) and unet or dit for images',
        f'{name} for data of shape {settings.shape}')
  check(len(width) >= 1 and (name == 'unet' or len(width) == 1), 'width',
        'must be one number for a dit or mlp, and one or more for a unet',
        f'{width} for a {name}')
  multiple = _MULTIPLES[name](settings)
  check(all(w % multiple == 0 for w in width), 'width',
        f'must be multiples of {multiple} for a {name}', width)
  levels = settings.attention_levels
  check(name != 'unet' or max(levels, default=0) < len(width),
        'attention_levels', f'must be below {len(width)}, the levels of width',
        levels)
  return NETWORKS[name](settings, dropout=settings.dropout,
                        num_classes=num_classes)


def make_process(settings: Any) -> Process:
  """The noise process, with its training times and its grid."""
  check(settings.process not in ('edm', 've')
        or settings.sigma_min < settings.sigma_max, 'sigma_min',
        'must be below sigma_max', (settings.sigma_min, settings.sigma_max))
  return PROCESSES[settings.process](settings)
