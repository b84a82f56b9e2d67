"""Samplers of the reverse process: their contract, and every method.

A sampler is a step from t to s < t, `sample` the one scan that runs it.
"""

from genjax.diffusion.samplers.adaptive import adaptive
from genjax.diffusion.samplers.composed import predictor_corrector
from genjax.diffusion.samplers.composed import restart
from genjax.diffusion.samplers.multistep import deis
from genjax.diffusion.samplers.multistep import dpm_solver_2m
from genjax.diffusion.samplers.multistep import dpm_solver_2m_sde
from genjax.diffusion.samplers.multistep import dpm_solver_3m
from genjax.diffusion.samplers.multistep import dpm_solver_3m_sde
from genjax.diffusion.samplers.multistep import History
from genjax.diffusion.samplers.multistep import unipc
from genjax.diffusion.samplers.one_step import ancestral
from genjax.diffusion.samplers.one_step import ddim
from genjax.diffusion.samplers.one_step import dpm_2
from genjax.diffusion.samplers.one_step import dpm_solver_2s
from genjax.diffusion.samplers.one_step import euler
from genjax.diffusion.samplers.one_step import euler_maruyama
from genjax.diffusion.samplers.one_step import heun
from genjax.diffusion.samplers.one_step import toward
from genjax.diffusion.samplers.solve import advance
from genjax.diffusion.samplers.solve import check_start
from genjax.diffusion.samplers.solve import encode
from genjax.diffusion.samplers.solve import Noise
from genjax.diffusion.samplers.solve import sample
from genjax.diffusion.samplers.solve import Sampled
from genjax.diffusion.samplers.solve import Sampler
from genjax.diffusion.samplers.solve import solve
from genjax.diffusion.samplers.solve import Span
from genjax.diffusion.samplers.solve import Step

__all__ = [
    'History', 'Noise', 'Sampled', 'Sampler', 'Span', 'Step', 'adaptive',
    'advance', 'ancestral', 'check_start', 'ddim', 'deis', 'dpm_2',
    'dpm_solver_2m', 'dpm_solver_2m_sde', 'dpm_solver_2s', 'dpm_solver_3m',
    'dpm_solver_3m_sde', 'encode', 'euler', 'euler_maruyama', 'heun',
    'predictor_corrector', 'restart', 'sample', 'solve', 'toward', 'unipc',
]
