"""What is certified: every process and every method, each a row of a table.

A method of drawing, of `named.SAMPLERS`, is certified without being asked; its
variants and what it claims are rows here.
"""

import functools
from typing import Callable, Mapping

import jax

from genjax.diffusion import named
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import schedule
from genjax.diffusion import shift
from genjax.types import Process

PROCESSES: Mapping[str, Callable[[], Process]] = {
    'vp_linear': process.vp_linear,
    'sub_vp': process.sub_vp,
    'vp_cosine': process.vp_cosine,
    'vp_cosine_short': lambda: process.vp_cosine(t_max=0.98),
    've': process.ve,
    'edm': process.edm,
    'flow_matching': process.flow_matching,
    'shifted_flow': lambda: shift.shifted(
        process.flow_matching(), shift.resolution_shift(192), power=1),
    'ddpm': lambda: process.discretize(process.linear_betas()),
    'improved_ddpm': lambda: process.discretize(process.cosine_betas()),
    'learned': lambda: schedule.learned((-9.0, 12.5))(
        {'schedule': schedule.init_schedule(jax.random.key(0), hidden=8)}),
}

# Beside the options that methods have by default.
VARIANTS: Mapping[str, Callable[[Process], samplers.Sampler]] = {
    'ddim eta=0.5': lambda p: samplers.ddim(p, eta=0.5),
    'heun churn=1.4': lambda p: samplers.heun(p, churn=1.4),
    'unipc order=1': lambda p: samplers.unipc(p, order=1),
    'unipc order=2': lambda p: samplers.unipc(p, order=2),
    'unipc order=1 predictor': lambda p: samplers.unipc(
        p, order=1, corrector=False),
    'unipc order=2 predictor': lambda p: samplers.unipc(
        p, order=2, corrector=False),
    'unipc order=3 predictor': lambda p: samplers.unipc(
        p, order=3, corrector=False),
    'deis degree=0': lambda p: samplers.deis(p, degree=0),
    'deis degree=1': lambda p: samplers.deis(p, degree=1),
    'deis degree=3': lambda p: samplers.deis(p, degree=3),
}


# Of methods that choose their steps, tolerances in place of numbers of steps.
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
ADAPTIVE: Mapping[str, Callable[[Process], samplers.Sampler]] = {
    f'adaptive tolerance={tol:.0e}': functools.partial(
        samplers.adaptive, rtol=tol, atol=tol) for tol in TOLERANCES}


# Orders of convergence: of x, or, of methods that draw, of the variance, at
# least. What is found of the others is printed all the same.
CLAIMS: Mapping[str, int] = {
    'euler': 1,
    'ddim': 1,
    'heun': 2,
    'dpm_2': 2,
    'dpm_solver_2s': 2,
    'dpm_solver_2m': 2,
    'dpm_solver_3m': 3,
    'unipc': 4,
    'unipc order=1': 2,
    'unipc order=2': 3,
    'unipc order=1 predictor': 1,
    'unipc order=2 predictor': 2,
    'unipc order=3 predictor': 3,
    'deis': 3,
    'deis degree=0': 1,
    'deis degree=1': 2,
    'deis degree=3': 4,
    'ddpm': 1,
    'ddim eta=0.5': 1,
    'euler_maruyama': 1,
}


@functools.cache
def processes() -> dict[str, Process]:
  """All processes, by name."""
  return {name: make() for name, make in PROCESSES.items()}


def methods() -> dict[str, Callable[[Process], samplers.Sampler]]:
  """All methods, by name, variants behind the method that they are of."""
  made = {**{name: method.make for name, method in named.SAMPLERS.items()},
          **VARIANTS}
  places = list(named.SAMPLERS)

  def place(name: str) -> tuple[int, str]:
    base = name.partition(' ')[0]
    return (places.index(base) if base in places else len(places), name)

  return {name: made[name] for name in sorted(made, key=place)}
