"""How fast is it? Ratios of times, side by side in one process.

  python -m pip install -e ".[bench]"
  python -m experiments.benchmark distributions --workdir=runs/benchmark
  python -m experiments.benchmark cdf --num_points=100000 --workdir=runs/cdf

`distributions` compares with other libraries; `cdf` needs none: it compares
cumulative probabilities with log-densities, and with themselves at params of
1e8.

Machines are noisy and differ: only ratios are reported. Every round times all
libraries in turn, and a ratio is the median over the rounds of the time of the
faster of the others over ours: above 1 ours is faster. First calls, which trace
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

from experiments import app
from experiments import flags as shared
from genjax import distributions
from genjax.checks import check
from genjax.runs import keys
from genjax.runs.workdir import write_json

_OURS = 'genjax'
_DIM, _COMPONENTS = 8, 8
_COMPILATIONS = 25
_LARGE = 1e8


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder of benchmark.json.')
  flags.DEFINE_integer('num_points', 1_000_000, 'Points of a call.',
                       lower_bound=1)
  flags.DEFINE_integer('rounds', 15, 'Rounds, in each of which every library '
                       'is timed.', lower_bound=3)


class Case(NamedTuple):
  """One computation, done by every library."""

  calls: Mapping[str, Callable[..., Any]]  # library -> f(*args)
  args: tuple[Any, ...]
  # Largest relative difference allowed; None where the numbers differ.
  rtol: float | None


class Row(NamedTuple):
  """Time of the faster of the others over ours."""

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
  key = keys.key(seed, 'figure')

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


def cdf_cases(num_points: int, seed: int) -> dict[str, Case]:
  """What a cdf takes next to a log-density, and at large params.

  Points are within some standard deviations of the mean. The one that is timed
  as ours is the log-density, or the cdf of ordinary params: a ratio says how
  many times as long the other takes.
  """
  d = distributions
  z = jnp.asarray(np.random.default_rng(seed).normal(size=num_points),
                  jnp.float32)

  def whole(mean, std):
    return jnp.maximum(jnp.round(mean + std * z), 0)

  def members(size):
    """Of each family one of about this size, and its points."""
    size = jnp.asarray(size)
    root, one = jnp.sqrt(size), jnp.ones(())
    return {
        'student_t': (d.student_t, d.StudentTParams(size, 0 * one, one), z),
        'gamma': (d.gamma, d.GammaParams(size, size),
                  jnp.maximum(1 + z / root, 0.01)),
        'beta': (d.beta, d.BetaParams(size, size),
                 jnp.clip(0.5 + 0.3 * z / root, 0.01, 0.99)),
        'binomial': (d.binomial, d.BinomialParams(2 * size, 0.3 * one),
                     jnp.minimum(whole(1.15 * size, 0.7 * root), 2 * size)),
        'poisson': (d.poisson, d.PoissonParams(size), whole(size, root)),
    }

  cases = {}
  large = members(_LARGE)
  for name, (dist, *inputs) in members(8.0).items():
    cases[f'{name} cdf / log_prob'] = Case(
        {_OURS: lambda f, g, dist=dist: dist.log_prob(*f),
         'cdf': lambda f, g, dist=dist: dist.cdf(*f)},
        (inputs, ()), None)
    cases[f'{name} cdf at {_LARGE:.0e} / at 8'] = Case(
        {_OURS: lambda f, g, dist=dist: dist.cdf(*f),
         'large': lambda f, g, dist=dist: dist.cdf(*g)},
        (inputs, large[name][1:]), None)
  return cases


class Suite(NamedTuple):
  """A table of the benchmark."""

  cases: Callable[[int, int], dict[str, Case]]  # of number of points and seed
  caption: str
  compilations: int  # first calls that are timed


SUITES = {
    'distributions': Suite(
        distribution_cases,
        'ratios to the faster of the others, above 1 ours is faster',
        _COMPILATIONS),
    'cdf': Suite(cdf_cases, 'ratios of the first named to the second', 3),
}


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
    cpu_clock: Callable[[], float] = time.process_time,
    compilations: int = _COMPILATIONS
) -> Row:
  """Times every library of `case` in turn, `rounds` times over."""

  def timed(call, clock=clock):
    start = clock()
    jax.block_until_ready(call(*case.args))
    return clock() - start

  def first(call):
    jax.clear_caches()  # what one library traced would help the next
    return timed(jax.jit(call), cpu_clock)

  compiling = _in_turn(first, case.calls, compilations)
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
  cases, caption, compilations = SUITES[suite]
  # What is kept on disk would not be compiled.
  jax.config.update('jax_enable_compilation_cache', False)
  device = jax.devices()[0]
  print(f'{values.num_points} points on {device.device_kind}; {caption}')
  print(f'{"":32}{"median":>8}{"least":>8}{"most":>8}{"compile":>9}')
  rows = {}
  for name, case in cases(values.num_points, values.seed).items():
    check_agreement(name, case)
    row = measure(case, values.rounds, compilations=compilations)
    rows[name] = row._asdict()
    print(f'{name:32}{row.speed:8.2f}{row.low:8.2f}{row.high:8.2f}'
          f'{row.compile:9.2f}', flush=True)
  os.makedirs(values.workdir, exist_ok=True)
  write_json(os.path.join(values.workdir, 'benchmark.json'), {
      'suite': suite, 'num_points': values.num_points, 'seed': values.seed,
      'device': device.device_kind, 'machine': platform.machine(),
      'jax': jax.__version__, 'rows': rows})


if __name__ == '__main__':
  define_flags()
  app.run(main, words=tuple(SUITES))
