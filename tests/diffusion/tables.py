"""Processes, predictions and samplers: a new one is a row, and meets all laws.
"""

from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.diffusion import named
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import shift

PROCESSES = {
    'vp_linear': process.vp_linear(),
    'sub_vp': process.sub_vp(),
    'vp_cosine': process.vp_cosine(),
    'vp_cosine_short': process.vp_cosine(t_max=0.98),
    've': process.ve(),
    'edm': process.edm(),
    'flow_matching': process.flow_matching(),
    'shifted_flow': shift.shifted(process.flow_matching(), -2.2, power=1),
    'ddpm': process.discretize(process.linear_betas()),
    'improved_ddpm': process.discretize(process.cosine_betas()),
}
VP = ('vp_linear', 'vp_cosine', 'vp_cosine_short', 'ddpm', 'improved_ddpm')
ZERO_TERMINAL_SNR = ('vp_cosine', 'flow_matching', 'shifted_flow')
# Those whose sigma is 0 at time 0.
NOISELESS = tuple(name for name in PROCESSES if name != 've')

PREDICTIONS = {
    'x0': prediction.x0,
    'eps': prediction.eps,
    'score': prediction.score,
    'v': prediction.v,
    'velocity': prediction.velocity,
    'edm': prediction.edm(0.5),
}

# All that the library has by name, and what else their options make of them.
SAMPLERS = {
    **{name: method.make for name, method in named.SAMPLERS.items()},
    'ddim_half': lambda p: samplers.ddim(p, eta=0.5),
    'heun_churn': lambda p: samplers.heun(p, churn=1.4),
    'unipc_1': lambda p: samplers.unipc(p, order=1),
    'unipc_2': lambda p: samplers.unipc(p, order=2),
    'unip_2': lambda p: samplers.unipc(p, order=2, corrector=False),
    'deis_1': lambda p: samplers.deis(p, degree=1),
    'deis_3': lambda p: samplers.deis(p, degree=3),
}
# One of each kind, for where all of them would be too many.
DISTINCT = ('ddpm', 'ddim', 'heun_churn', 'dpm_solver_2m', 'unipc')
STOCHASTIC = ('ddpm', 'ddim_half', 'euler_maruyama', 'heun_churn',
              'dpm_solver_2m_sde', 'dpm_solver_3m_sde', 'predictor_corrector',
              'restart')
DETERMINISTIC = tuple(name for name in SAMPLERS if name not in STOCHASTIC)
# Those without noise that a constant denoiser makes exact, from any step count.
EXPONENTIAL = tuple(name for name in DETERMINISTIC
                    if name not in ('euler', 'heun', 'adaptive'))


def starts(sampler: str, process_name: str) -> bool:
  """Whether the method can start at t_max."""
  return not (process_name in ZERO_TERMINAL_SNR
              and sampler == 'euler_maruyama')


def defined(process_name: str, prediction_name: str) -> bool:
  """Whether x_0 can be told from the prediction up to t_max."""
  return not (process_name in ZERO_TERMINAL_SNR
              and prediction_name in ('eps', 'score'))


def interior(p, num: int = 40, edge: float = 1e-6) -> np.ndarray:
  """Times inside (t_min, t_max), crowded towards both ends."""
  near = np.geomspace(edge, 0.5, num)
  share = np.concatenate([near, 1 - near[-2::-1]])
  return p.t_min + (p.t_max - p.t_min) * share


def grid(p, num_steps: int) -> jnp.ndarray:
  """Times [num_steps + 1] from t_max to the end, sigma = 0 where it can be."""
  times = np.linspace(p.t_max, p.t_min, num_steps + 1)
  times[-1] = 0.0
  return jnp.asarray(times)


def gaussian(p, var):
  """E[x_0 | x_t] of data N(0, var), elementwise."""

  def denoise(x, t):
    alpha, sigma = process.coefficients(p, t, jnp.ndim(x))
    return alpha * var / (alpha**2 * var + sigma**2) * x

  return denoise


def at(schedule: Callable, t) -> np.ndarray:
  return np.asarray(jax.jit(schedule)(jnp.asarray(t)))
