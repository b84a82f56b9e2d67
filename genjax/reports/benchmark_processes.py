"""What a process of ours takes to start, and holds, beside one of PyTorch.

Each measurement is a process of its own, in turns: how long it is from the
command to the end of the first step of training, and how much memory it holds
at most while it trains.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Sequence

import numpy as np

from genjax.checks import check
from genjax.networks.unet import UNet
from genjax.reports import benchmark
from genjax.reports import benchmark_pairs as pairs
from genjax.reports import table as tables

_STEPS = 5  # of a process whose memory is measured
_PARTS = ('import', 'init', 'trace', 'compile', 'step')
_MIB = 2**20

STARTUP: Sequence[tables.Column | str] = (
    'case',
    *(tables.Column(name, f'{name}, s', '.2f')
      for name in ('cold', 'warm', 'theirs', *_PARTS)),
    tables.Column('speed', 'theirs / warm', '.2f'),
    tables.Column('speed_cold', 'theirs / cold', '.2f'))
MEMORY: Sequence[tables.Column | str] = (
    'case', tables.Column('ours', 'ours, MiB', '.4g'),
    tables.Column('theirs', 'theirs, MiB', '.4g'),
    tables.Column('program', 'step by XLA, MiB', '.4g'),
    tables.Column('ratio', 'theirs / ours', '.2f'))

# What a process is told to do: prints a line of JSON.
_OURS = """
import time; start = time.perf_counter()
import json, resource
import jax
from genjax.reports import benchmark_pairs as pairs
took = dict.fromkeys({parts}, 0.0)
took['import'] = time.perf_counter() - start
names = {{'/jax/core/compile/jaxpr_trace_duration': 'trace',
         '/jax/core/compile/jaxpr_to_mlir_module_duration': 'trace',
         '/jax/core/compile/backend_compile_duration': 'compile'}}
parts = {{'trace': 0.0, 'compile': 0.0}}
def listen(event, seconds, **rest):
  if event in names:
    parts[names[event]] += seconds
jax.monitoring.register_event_duration_secs_listener(listen)
net = pairs.NETS[{name!r}]
before = time.perf_counter()
params, x = pairs.make_params(net, 0), pairs.noise(net, 0)
took['init'] = time.perf_counter() - before
parts.update(trace=0.0, compile=0.0)
step, program = pairs.make_training(net, params, x)
took.update(parts)
before = time.perf_counter()
for _ in range({steps}):
  step()
took['step'] = time.perf_counter() - before
took['program'] = program.memory_analysis().temp_size_in_bytes
took['peak'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(took))
"""
_THEIRS = """
import json, resource
import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
net = UNet2DModel(**{options!r})
scheduler = DDPMScheduler(num_train_timesteps=1000)
adam = torch.optim.Adam(net.parameters(), 1e-4, betas=(.9, .99), fused=True)
average = EMAModel(net.parameters(), .999, foreach=True)
for _ in range({steps}):
  x, noise = torch.randn(2, {batch}, *{shape}).unbind()
  t = torch.randint(0, 1000, ({batch},))
  out = net(scheduler.add_noise(x, noise, t), t).sample
  adam.zero_grad()
  torch.nn.functional.mse_loss(out, noise).backward()
  torch.nn.utils.clip_grad_norm_(net.parameters(), 1.)
  adam.step()
  average.step(net.parameters())
print(json.dumps({{
    'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}}))
"""


def startup(settings: benchmark.Settings, say: Callable[[str], Any]
            ) -> tables.Table:
  """A row a U-Net: seconds to the end of the first step of training.

  Ours cold, with nothing kept of earlier runs, and warm; PyTorch's and
  diffusers' is a loop of its own, which imports nothing else. The parts of a
  cold start are those of its median round; what they leave out is Python's.
  """
  rows: list[list[tables.Cell]] = []
  for name, net in _unets(settings):
    say(f'starting {name}')
    ours, theirs = _commands(name, net, 1)
    found: dict[str, list[dict[str, float]]] = {
        'cold': [], 'warm': [], 'theirs': []}
    for _ in range(settings.rounds):
      with tempfile.TemporaryDirectory() as cache:
        for side in ('cold', 'warm'):
          found[side].append(_run(ours, cache))
      found['theirs'].append(_run(theirs))
    whole = {side: np.asarray([one['whole'] for one in runs])
             for side, runs in found.items()}
    parts = sorted(found['cold'], key=lambda one: one['whole'])[
        settings.rounds // 2]
    rows.append([
        name, *(float(np.median(seconds)) for seconds in whole.values()),
        *(parts[part] for part in _PARTS),
        *(float(np.median(whole['theirs'] / whole[side]))
          for side in ('warm', 'cold'))])
  return tables.make_table(STARTUP, rows)


def memory(settings: benchmark.Settings, say: Callable[[str], Any]
           ) -> tables.Table:
  """A row a U-Net: most memory that a process held in some steps of training.

  With its libraries, as the system counts it; and what the step takes by XLA's
  own analysis.
  """
  rows = []
  for name, net in _unets(settings):
    say(f'measuring {name}')
    peaks = []
    with tempfile.TemporaryDirectory() as cache:
      for command in _commands(name, net, _STEPS):
        peaks.append([_run(command, cache) for _ in range(2)][-1])
    ours, theirs = (one['peak'] / 1024 for one in peaks)
    rows.append((name, ours, theirs, peaks[0]['program'] / _MIB,
                 theirs / ours))
  return tables.make_table(MEMORY, rows)


def _unets(settings: benchmark.Settings) -> list[tuple[str, pairs.Net]]:
  """Those that diffusers has too, if it is there."""
  pairs.rival()
  return [(name, net) for name, net in pairs.chosen(settings)
          if isinstance(net.network, UNet)]


def _commands(name: str, net: pairs.Net, steps: int) -> tuple[str, str]:
  *sides, channels = net.event
  options = pairs.rival().unet_options(net.network, net.event)
  return (_OURS.format(name=name, steps=steps, parts=_PARTS),
          _THEIRS.format(options=options, steps=steps, batch=net.batch,
                         shape=(channels, *sides)))


def _run(command: str, cache: str | None = None) -> dict[str, float]:
  """What a process says of itself, and the seconds that it took, 'whole'."""
  said: list[str] = []
  env = dict(os.environ)
  if cache is not None:
    env |= {'JAX_COMPILATION_CACHE_DIR': cache,
            'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
            'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1'}

  def call() -> None:
    done = subprocess.run([sys.executable, '-c', command], env=env, check=False,
                          capture_output=True, text=True)
    check(done.returncode == 0, 'benchmark', 'its process must end well',
          (done.stderr.strip().splitlines() or ['nothing'])[-1])
    said.append(done.stdout.strip().splitlines()[-1])

  whole = benchmark.seconds(call)
  return {**json.loads(said[0]), 'whole': whole}
