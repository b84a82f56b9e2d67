"""Training and sampling beside PyTorch and diffusers, on equal networks.

Both sides have the same layers with the same params, DDPM's noise, clipping by
the global norm, Adam and an average of the params. They are timed in turns.
"""

import math
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from genjax.networks.embeddings import TIMESTEP
from genjax.networks.init import init_params
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.reports import benchmark
from genjax.reports import table as tables
from genjax.runs import keys
from genjax.training.averages import ema
from genjax.training.optimizers import make_optimizer
from genjax.training.parallel import compiler_options
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Process
from genjax.types import Shape

_LEVELS = 1000  # of DDPM's chain
_BUSY = 0.05  # seconds that a round times at least
_OWN_STEPS = 50  # of a scheduler, where the network is next to nothing
_METHODS: Mapping[str, Callable[[Any], samplers.Sampler]] = {
    'ddim': samplers.ddim, 'ancestral': samplers.ancestral,
    'dpm_solver_2m': samplers.dpm_solver_2m}

COLUMNS = (
    'case', tables.Column('ours', 'ours, ms', '.4g'),
    tables.Column('theirs', 'theirs, ms', '.4g'),
    tables.Column('speed', 'theirs / ours', '.2f'),
    tables.Column('low', 'least', '.2f'), tables.Column('high', 'most', '.2f'),
    tables.Column('compiled', 'compiled / ours', '.2f'),
    tables.Column('images', 'ours, examples/s', '.4g'),
    tables.Column('gflops', 'ours, GFLOP/s', '.3g'),
    tables.Column('utilisation', 'of the peak', '.1%'))


class Net(NamedTuple):
  """A network, what it is trained on, and how it is drawn from."""

  network: Any
  event: Shape
  batch: int
  steps: int  # of DDIM


NETS: Mapping[str, Net] = {
    'MLP 2-D, 128 x 3': Net(MLP(128, 3), (2,), 256, 100),
    'U-Net 8x8, (24, 32)': Net(
        UNet((24, 32), 1, (), 8, groups=8), (8, 8, 1), 32, 20),
    'U-Net 32x32, (32, 64, 128)': Net(
        UNet((32, 64, 128), 2, (2,), 8, groups=8), (32, 32, 3), 32, 20),
    'DiT 8x8, 96 x 6': Net(DiT(96, 6, 32, 1), (8, 8, 1), 128, 20),
    'DiT 32x32, 192 x 6, patch 4': Net(
        DiT(192, 6, 64, 4), (32, 32, 3), 32, 20),
}


def rival() -> Any:
  """`benchmark_torch`.

  Raises:
    ValueError: PyTorch or diffusers are not installed.
  """
  for name in ('torch', 'diffusers'):
    benchmark.library(name)
  return benchmark.library('genjax.reports.benchmark_torch')


def make_params(net: Net, seed: int) -> Any:
  """Params of which none is zero, so that outputs are to be compared."""
  network = net.network.clone(noise=TIMESTEP)
  params = init_params(keys.key(seed, 'init'), network, (1, *net.event))
  rng = np.random.default_rng(seed)
  return jax.tree.map(
      lambda p: np.asarray(p + 0.02 * rng.normal(size=p.shape), np.float32),
      params['params'])


def make_model(apply: Any) -> Diffusion:
  """Predicts the noise of DDPM's chain, and is told the number of a level."""
  return Diffusion(apply, fixed(_chain()), prediction.eps, 1.0,
                   prediction.raw_input, prediction.timestep(_LEVELS))


def _chain() -> Process:
  return process.discretize(process.linear_betas(_LEVELS))


def apply_of(net: Net) -> Any:
  """The network, told the number of a level."""
  return net.network.clone(noise=TIMESTEP).apply


def make_training(net: Net, params: Any, x: np.ndarray) -> Any:
  """(one step of training, the program that it is)."""
  tx = make_optimizer(1e-4, 10**6)
  step = make_step(
      loss.make_loss(make_model(apply_of(net)), weighting=weighting.eps), tx,
      averages={'ema': ema(0.999)})
  batch = {'x': x, 'index': np.arange(len(x), dtype=np.int32), 'cond': {}}
  state, key = init_state(init_model(params), tx, ['ema']), jax.random.key(0)
  program = jax.jit(step, donate_argnums=0).lower(state, key, batch).compile(
      compiler_options=compiler_options(make_mesh(1)))
  held = [state]

  def call() -> None:
    held[0], _ = program(held[0], key, batch)
    jax.block_until_ready(held[0])

  return call, program


def grid_of(num_steps: int) -> Any:
  """Times of diffusers' leading grid, then that without noise."""
  first = np.arange(num_steps)[::-1] * (_LEVELS // num_steps) + 1
  return times.to_zero(jnp.asarray(first / _LEVELS))


def make_draw(apply: Any, params: Any, name: str, num_steps: int, x: np.ndarray
              ) -> Callable[[], np.ndarray]:
  """From noise x [B, ...] to samples, by a method of _METHODS."""
  sampler, model = _METHODS[name](_chain()), make_model(apply)
  grid, key = grid_of(num_steps), jax.random.key(0)

  @jax.jit
  def draw(params: Any, x: Any) -> Any:
    denoiser = make_denoiser(model)(init_model(params))
    return samplers.sample(key, sampler, denoiser, x, grid).x

  return lambda: np.asarray(draw(params, x))


def in_rounds(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, np.ndarray]:
  """Milliseconds of a call in each round, in turns; called before, untimed."""
  repeats = {}
  for name, call in calls.items():
    call()
    repeats[name] = max(1, math.ceil(_BUSY / benchmark.seconds(call)))

  def timed(name: str) -> float:
    def repeated() -> None:
      for _ in range(repeats[name]):
        calls[name]()
    return 1e3 * benchmark.seconds(repeated) / repeats[name]

  found = benchmark.in_turn(timed, {name: name for name in calls}, rounds)
  return {name: np.asarray(taken) for name, taken in found.items()}


def row_of(name: str, ms: Mapping[str, np.ndarray], examples: int,
           flops: float | None, peak: float | None) -> tuple[Any, ...]:
  """A row of COLUMNS, of milliseconds by round of 'ours', 'theirs', 'compiled'.

  Args:
    name: of the case.
    ms: by side, [R]; 'compiled' may be absent.
    examples: in a call.
    flops: of a call of ours; None where they are not counted.
    peak: what the device does at most, in TFLOP/s; None where not told.
  """
  ours, ratios = np.median(ms['ours']), ms['theirs'] / ms['ours']
  rate = None if flops is None else float(flops / ours / 1e6)
  compiled = (float(np.median(ms['compiled'] / ms['ours']))
              if 'compiled' in ms else None)
  return (name, float(ours), float(np.median(ms['theirs'])),
          float(np.median(ratios)), float(ratios.min()), float(ratios.max()),
          compiled, float(1e3 * examples / ours), rate,
          None if rate is None or peak is None else rate / (1e3 * peak))


def training(settings: benchmark.Settings, say: Callable[[str], Any]
             ) -> tables.Table:
  """A row a network: one step of training."""
  torch, rows = rival(), []
  for name, net in chosen(settings):
    say(f'timing {name}')
    params, x = make_params(net, settings.seed), noise(net, settings.seed)
    check_nets(name, net, params, torch)
    ours, program = make_training(net, params, x)

    def theirs(compiled: bool, net: Net = net, params: Any = params,
               x: np.ndarray = x) -> Callable[[], None]:
      return torch.make_step(torch.make_module(net.network, net.event, params),
                             x, compiled=compiled)

    calls = {'ours': ours, 'theirs': theirs(False)}
    if settings.torch_compile:
      calls['compiled'] = theirs(True)
    rows.append(row_of(name, in_rounds(calls, settings.rounds), net.batch,
                       (program.cost_analysis() or {}).get('flops'),
                       settings.peak))
  return tables.make_table(COLUMNS, rows)


def sampling(settings: benchmark.Settings, say: Callable[[str], Any]
             ) -> tables.Table:
  """A row a network: DDIM from noise to samples; then samplers' own steps.

  Raises:
    ValueError: the samples are not the same.
  """
  torch, rows = rival(), []
  for name, net in chosen(settings):
    say(f'timing {name}')
    params, x = make_params(net, settings.seed), noise(net, settings.seed)
    check_nets(name, net, params, torch)
    module = torch.make_module(net.network, net.event, params).eval()
    calls = {
        'ours': make_draw(apply_of(net), params, 'ddim', net.steps, x),
        'theirs': torch.make_draw(module, 'ddim', net.steps, x)}
    if settings.torch_compile:
      calls['compiled'] = torch.make_draw(module, 'ddim', net.steps, x,
                                          compiled=True)
    _check_near(f'{name}: samples', calls['ours'](), calls['theirs']())
    rows.append(row_of(f'{name}, DDIM {net.steps}',
                       in_rounds(calls, settings.rounds), net.batch, None,
                       None))
  for method in _METHODS:
    say(f'timing {method}')
    rows.append(own_step(settings, method, torch))
  return tables.make_table(COLUMNS, rows)


def own_step(settings: benchmark.Settings, method: str, torch: Any
             ) -> tuple[Any, ...]:
  """What a step of a sampler takes beside the network, by subtraction.

  The network is x / 10 there, on 16 examples of 64 numbers.
  """
  x = np.random.default_rng(settings.seed).normal(size=(16, 64)).astype('f4')

  def ours(variables: Any, x: Any, level: Any, cond: Any) -> Any:
    del variables, level, cond
    return 0.1 * x

  def theirs(x: Any, step: Any) -> Any:
    del step
    return 0.1 * x

  @jax.jit
  def calls(x: Any) -> Any:
    return jax.lax.scan(lambda x, t: (ours({}, x, t, None), None), x,
                        jnp.arange(_OWN_STEPS))[0]

  ms = in_rounds({
      'ours': make_draw(ours, {}, method, _OWN_STEPS, x),
      'our calls': lambda: jax.block_until_ready(calls(x)),
      'theirs': torch.make_draw(theirs, method, _OWN_STEPS, x),
      'their calls': torch.make_calls(theirs, _OWN_STEPS, x)}, settings.rounds)
  # Noise of the clock must not make a step free.
  return row_of(f'{method}, a step without its network', {
      side: np.maximum(ms[side] - ms[calls], 1e-3) / _OWN_STEPS
      for side, calls in (('ours', 'our calls'), ('theirs', 'their calls'))},
                len(x), None, None)


def check_nets(name: str, net: Net, params: Any, torch: Any) -> None:
  """Raises ValueError unless both networks compute the same numbers."""
  module = torch.make_module(net.network, net.event, params).eval()
  x = noise(net, 1)[:4]
  ours = jax.jit(apply_of(net))(
      {'params': params}, x, jnp.full(len(x), 300.0))
  theirs = torch.apply(module, x, 300.0)
  count = sum(p.size for p in jax.tree.leaves(params))
  check(count == torch.count(module), name, f'must have {count} parameters',
        torch.count(module))
  _check_near(name, np.asarray(ours), theirs)


def _check_near(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
  worst = float(np.abs(ours - theirs).max() / np.abs(ours).max())
  check(worst < 1e-3, name, 'both sides must agree to 1e-3', worst)


def chosen(settings: benchmark.Settings) -> list[tuple[str, Net]]:
  """The networks that are asked for."""
  return [(name, net) for name, net in NETS.items() if settings.only in name]


def noise(net: Net, seed: int) -> np.ndarray:
  """A batch [B, ...] of standard normal numbers."""
  return np.random.default_rng(seed).normal(
      size=(net.batch, *net.event)).astype(np.float32)
