"""How fast is it? Ratios to other libraries, side by side in one process.

  python -m pip install -e ".[bench]"
  python -m experiments.benchmark distributions --workdir=runs/benchmark

Machines are noisy and differ: only ratios are reported. Every round times all
libraries in turn, and a ratio is the median over the rounds of the time of the
faster of the others over ours: above 1 we are faster. First calls, which trace
and compile, are timed in processor seconds, which other programs stretch less
than those on the wall. Before anything is timed, the libraries must agree on
the numbers. Writes benchmark.json.
"""

import importlib
import os
import platform
import time
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from genjax import distributions
from genjax.checks import check

_OURS = 'genjax'
_DIM, _COMPONENTS = 8, 8
_COMPILATIONS = 25


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where benchmark.json is written')
  flags.DEFINE_integer('num_points', 1_000_000, 'a call', lower_bound=1)
  flags.DEFINE_integer('rounds', 15, 'in each of which every library is timed',
                       lower_bound=3)


class Case(NamedTuple):
  """One computation, done by every library."""

  calls: Mapping[str, Callable[..., Any]]  # library -> f(*args)
  args: tuple[Any, ...]
  # Largest relative difference allowed; None for draws, which differ.
  rtol: float | None


class Row(NamedTuple):
  """How the faster of the others compares to us: above 1 we are faster."""

  speed: float  # median over the rounds
  low: float  # least
  high: float  # most
  compile: float  # processor time to the first result, median


def distribution_cases(num_points: int, seed: int) -> dict[str, Case]:
  """What the promises on distributions are about.

  Raises:
    ValueError: the other libraries are not installed.
  """
  distrax, numpyro = (_library(name) for name in ('distrax',
                                                  'numpyro.distributions'))
  rng = np.random.default_rng(seed)
  key = common.root_key(seed, 'figure')

  def array(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  loc, scale = array(), jnp.exp(array())
  points = array(num_points)
  vector = array(_DIM)
  tril = jnp.tril(0.3 * array(_DIM, _DIM), -1) + jnp.diag(
      jnp.exp(0.3 * array(_DIM)))
  logits, locs = array(_COMPONENTS), 3 * array(_COMPONENTS)
  scales = jnp.exp(0.3 * array(_COMPONENTS))

  normal = {
      _OURS: lambda *p: _Ours(distributions.normal,
                              distributions.NormalParams(*p)),
      'distrax': distrax.Normal, 'numpyro': numpyro.Normal}
  multivariate = {
      _OURS: lambda *p: _Ours(distributions.multivariate_normal,
                              distributions.MultivariateNormalParams(*p)),
      'distrax': distrax.MultivariateNormalTri,
      'numpyro': lambda loc, tril: numpyro.MultivariateNormal(
          loc, scale_tril=tril)}
  mixture = {
      _OURS: lambda logits, *p: _Ours(
          distributions.mixture(distributions.normal),
          distributions.MixtureParams(logits, distributions.NormalParams(*p))),
      'distrax': lambda logits, *p: distrax.MixtureSameFamily(
          distrax.Categorical(logits), distrax.Normal(*p)),
      'numpyro': lambda logits, *p: numpyro.MixtureSameFamily(
          numpyro.Categorical(logits=logits), numpyro.Normal(*p))}
  categorical = {
      _OURS: lambda logits: _Ours(distributions.categorical,
                                  distributions.CategoricalParams(logits)),
      'distrax': distrax.Categorical,
      'numpyro': lambda logits: numpyro.Categorical(logits=logits)}

  def log_prob(makes, x, *params):
    return Case({name: lambda x, *p, make=make: make(*p).log_prob(x)
                 for name, make in makes.items()}, (x, *params), 1e-4)

  def sample(makes, *params):
    return Case({name: lambda key, *p, name=name: _DRAW[name](
        makes[name](*p), key, num_points) for name in makes},
                (key, *params), None)

  return {
      'normal log_prob': log_prob(normal, points, loc, scale),
      'normal sample': sample(normal, loc, scale),
      f'{_DIM}-D normal log_prob': log_prob(
          multivariate, array(num_points, _DIM), vector, tril),
      f'{_DIM}-D normal sample': sample(multivariate, vector, tril),
      f'mixture of {_COMPONENTS} log_prob': log_prob(
          mixture, points, logits, locs, scales),
      f'mixture of {_COMPONENTS} sample': sample(
          mixture, logits, locs, scales),
      f'categorical of {_COMPONENTS} sample': sample(categorical, logits),
  }


# How each library draws n values.
_DRAW = {
    _OURS: lambda dist, key, n: dist.sample(key, (n,)),
    'distrax': lambda dist, key, n: dist.sample(seed=key, sample_shape=(n,)),
    'numpyro': lambda dist, key, n: dist.sample(key, (n,)),
}


class _Ours(NamedTuple):
  """Ours in the clothes of the others, for one way to call all."""

  dist: distributions.Distribution
  params: Any

  def log_prob(self, x):
    return self.dist.log_prob(self.params, x)

  def sample(self, key, shape):
    return self.dist.sample(key, self.params, shape)


def _library(name: str) -> Any:
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ValueError(
        f'benchmark: needs {name.partition(".")[0]}: python -m pip install '
        f'-e ".[bench]", got {error}') from error


SUITES = {'distributions': distribution_cases}


def check_agreement(name: str, case: Case) -> None:
  """Raises ValueError unless all libraries compute the same numbers."""
  if case.rtol is None:
    return
  ours = case.calls[_OURS](*case.args)
  for library, call in case.calls.items():
    worst = float(jnp.max(jnp.abs(call(*case.args) - ours)
                          / jnp.maximum(1, jnp.abs(ours))))
    check(worst < case.rtol, name,
          f'{library} must agree with us to {case.rtol}', worst)


def measure(
    case: Case, rounds: int, clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time
) -> Row:
  """Times every library of `case` in turn, `rounds` times over."""

  def timed(call, clock=clock):
    start = clock()
    jax.block_until_ready(call(*case.args))
    return clock() - start

  def first(call):
    jax.clear_caches()  # what one library traced would help the next
    return timed(jax.jit(call), cpu_clock)

  compiling = _in_turn(first, case.calls, _COMPILATIONS)
  jitted = {name: jax.jit(call) for name, call in case.calls.items()}
  for call in jitted.values():
    timed(call)
  speed = _ratios(_in_turn(timed, jitted, rounds))
  return Row(float(np.median(speed)), float(speed.min()), float(speed.max()),
             float(np.median(_ratios(compiling))))


def _in_turn(
    timed: Callable[[Callable], float], calls: Mapping[str, Callable],
    rounds: int
) -> dict[str, list[float]]:
  """Seconds of every call in every round, each other round in reverse."""
  times: dict[str, list[float]] = {name: [] for name in calls}
  for i in range(rounds):
    for name in list(calls)[::-1 if i % 2 else 1]:
      times[name].append(timed(calls[name]))
  return times


def _ratios(times: Mapping[str, Sequence[float]]) -> np.ndarray:
  """Time of the other that is fastest in the median over ours, by round."""
  fastest = min((rounds for name, rounds in times.items() if name != _OURS),
                key=np.median)
  return np.asarray(fastest) / np.asarray(times[_OURS])


def main(suite: str) -> None:
  values = flags.FLAGS
  cases = SUITES[suite](values.num_points, values.seed)
  # What is kept on disk would not be compiled.
  jax.config.update('jax_enable_compilation_cache', False)
  device = jax.devices()[0]
  print(f'{values.num_points} points on {device.device_kind}; ratios to the '
        'faster of the others, above 1 we are faster')
  print(f'{"":26}{"median":>8}{"least":>8}{"most":>8}{"compile":>9}')
  rows = {}
  for name, case in cases.items():
    check_agreement(name, case)
    row = measure(case, values.rounds)
    rows[name] = row._asdict()
    print(f'{name:26}{row.speed:8.2f}{row.low:8.2f}{row.high:8.2f}'
          f'{row.compile:9.2f}', flush=True)
  os.makedirs(values.workdir, exist_ok=True)
  common.write_json(os.path.join(values.workdir, 'benchmark.json'), {
      'suite': suite, 'num_points': values.num_points, 'seed': values.seed,
      'device': device.device_kind, 'machine': platform.machine(),
      'jax': jax.__version__, 'rows': rows})


if __name__ == '__main__':
  define_flags()
  common.run(main, words=tuple(SUITES))
