"""Six ways to approximate an unknown distribution, for `fit_distribution`.

Each takes standardised points and returns a distribution fitted to them.
What a model leaves open (components, cells, bandwidth, when to stop training)
is chosen on these points alone, most of which are fitted to and the rest
judged by; they must come in random order.
"""

import contextlib
import functools
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from genjax import energy
from genjax import mcmc
from genjax.data import pipeline
from genjax.data import sources
from genjax.distributions import fitting
from genjax.distributions import flow
from genjax.distributions import nonparametric
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.networks.coupling import SplineCoupling
from genjax.networks.energy import EnergyMLP
from genjax.training import loop
from genjax.training import parallel
from genjax.training.averages import ema
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.optimizers import make_optimizer
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Array
from genjax.types import Context
from genjax.types import LossFn
from genjax.types import Params

_COMPONENTS = (1, 2, 4, 8, 16, 32)
_BINS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MOST_CELLS = 2**16
_MARGIN = 0.1  # of the histogram's box, as a share of the points' range
_PSEUDO_COUNT = 0.1
_BANDWIDTHS = tuple(1.25**-i for i in range(16))

_BATCH, _LEARNING_RATE = 512, 5e-3
_CHECKPOINTS = 20  # of one training, of which the best is taken
_ENERGY = EnergyMLP(features=64)
_CONTRAST = 3  # steps of a chain of contrastive divergence
_KERNEL_DRAWS = 4096  # for log Z while training
_BOX, _NODES = 6.0, 384  # of the quadrature for log Z
_PARTICLES, _TEMPERATURES = 1000, 500  # of annealed importance sampling
_CHAIN = 200  # steps from a Gaussian to a draw of the energy model
_FLOW = SplineCoupling(bound=5.0)


class Run(NamedTuple):
  """What a fit may depend on beside the points."""

  seed: int
  steps: int  # of training
  workdir: str  # where a model that is trained keeps its checkpoints


class Fitted(NamedTuple):
  """A distribution of standardised points, and what to say of it."""

  dist: Distribution
  params: Params
  note: str


def _gaussian(run: Run, x: Array) -> Fitted:
  del run
  return Fitted(multivariate_normal, fitting.fit_multivariate_normal(x),
                'full covariance')


def _mixture(run: Run, x: Array) -> Fitted:
  dist = mixture(multivariate_normal)
  key = common.root_key(run.seed, 'init')

  def fit(num, x):
    return fitting.fit_gaussian_mixture(key, x, num).params

  num, params = _choose(
      dist, fit, [n for n in _COMPONENTS if 4 * n <= len(x)], x)
  return Fitted(dist, params, f'{num} components')


def _histogram(run: Run, x: Array) -> Fitted:
  del run
  low, high = jnp.min(x, 0), jnp.max(x, 0)
  margin = _MARGIN * (high - low)

  def fit(bins, x):
    return nonparametric.fit_histogram(
        x, low - margin, high + margin, (bins,) * x.shape[1],
        pseudo_count=_PSEUDO_COUNT)

  dist = nonparametric.histogram
  bins, params = _choose(
      dist, fit, [n for n in _BINS if n**x.shape[1] <= _MOST_CELLS], x)
  return Fitted(dist, params, f'{bins} cells an axis')


def _kernel_density(run: Run, x: Array) -> Fitted:
  del run
  params = nonparametric.fit_kernel_density(x, _BANDWIDTHS)
  widths = ', '.join(f'{width:.3f}' for width in np.asarray(params.scale))
  return Fitted(nonparametric.kernel_density, params,
                f'kernel of {widths} standard deviations')


def _choose(
    dist: Distribution, fit: Callable[[int, Array], Params],
    candidates: Sequence[int], x: Array
) -> tuple[int, Params]:
  """The candidate whose fit to most of x [N, D] is best on the rest.

  Returns it with its fit to all of x.
  """
  most, rest = _split(x)
  scores = [jnp.mean(dist.log_prob(fit(candidate, most), rest))
            for candidate in candidates]
  # The largest of NaN would be the candidate that could not be fitted.
  best = candidates[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]
  return best, fit(best, x)


def _split(x: Array) -> tuple[Array, Array]:
  """Points to fit to, and points to choose by."""
  most = 4 * len(x) // 5
  return x[:most], x[most:]


def _energy_of(variables: Params, x: Array) -> Array:
  return jnp.asarray(_ENERGY.apply(variables, x))


def _energy(run: Run, x: Array) -> Fitted:
  make_kernel = functools.partial(mcmc.hmc, step_size=0.1, num_leapfrog=5)
  loss_fn = energy.make_contrastive_divergence(
      _energy_of, make_kernel=make_kernel, num_steps=_CONTRAST)
  # Kernels at the points find the narrow modes that an overfitted energy has.
  kernels = nonparametric.fit_kernel_density(_split(x)[0])

  def criterion(variables, key, batch, context):
    del context
    log_z = energy.log_partition_importance(
        key, _energy_of, nonparametric.kernel_density, variables, kernels,
        num_samples=_KERNEL_DRAWS)
    return jnp.mean(_energy_of(variables, batch['x'])) + log_z.value, {}

  variables = _train('energy', run, _ENERGY, loss_fn, criterion, x)
  base_params = fitting.fit_multivariate_normal(x)
  dist = energy.as_distribution(
      _energy_of, multivariate_normal, base_params,
      make_kernel=make_kernel, num_steps=_CHAIN)
  if x.shape[1] <= 2:
    corner = jnp.full(x.shape[1], _BOX)
    log_z, error = energy.log_partition_quadrature(
        _energy_of, variables, -corner, corner, num_points=_NODES)
  else:
    log_z, error = energy.log_partition_annealed(
        common.root_key(run.seed, 'sample'), _energy_of,
        multivariate_normal, variables, base_params, make_kernel=make_kernel,
        betas=jnp.linspace(0, 1, _TEMPERATURES), num_samples=_PARTICLES)
  return Fitted(dist, energy.EnergyParams(variables, log_z),
                f'log Z = {log_z:.4f} +/- {error:.1g}')


def _flow(run: Run, x: Array) -> Fitted:
  dim = x.shape[1]
  dist = flow.flow(_FLOW, independent(normal, 1),
                   NormalParams(jnp.zeros(dim), jnp.ones(dim)))
  loss_fn = fitting.maximum_likelihood(dist)
  variables = _train('flow', run, _FLOW, loss_fn, loss_fn, x)
  return Fitted(dist, variables, f'{_FLOW.num_layers} spline couplings')


def _train(
    name: str, run: Run, network: Any, loss_fn: LossFn, criterion: LossFn,
    x: Array
) -> Params:
  """Averaged variables of a network, from where it was best while training.

  Args:
    name: of the model.
    run: what it may depend on.
    network: takes points.
    loss_fn: what is minimised.
    criterion: by which points held out of the training judge it.
    x: [N, D].

  Raises:
    SystemExit: stopped by a signal; the same command goes on from there.
  """
  # Each model has a stream of its own, whichever others are fitted.
  key_init, key = (
      jax.random.fold_in(common.root_key(run.seed, role),
                         list(MODELS).index(name))
      for role in ('init', 'training'))
  tx = make_optimizer(_LEARNING_RATE, run.steps,
                      warmup_steps=min(100, run.steps - 1))
  state = init_state(jax.jit(network.init)(key_init, x[:1]), tx, ['ema'])
  # Small enough for one device: more would wait for each other.
  compiled = parallel.compile_step(
      make_step(loss_fn, tx, averages={'ema': ema(0.99)}),
      parallel.make_mesh(1))
  most, rest = (sources.ArraySource({'x': np.asarray(part)})
                for part in _split(x))
  judge, judged_by = jax.jit(criterion), pipeline.full_batch(rest)

  def hook(state, step):
    del step
    loss, _ = judge(state.averages['ema'],
                    common.root_key(run.seed, 'held_out'), judged_by, Context())
    return {'held_out/loss': float(loss)}

  every = max(run.steps // _CHECKPOINTS, 1)
  workdir = os.path.join(run.workdir, name)
  with (contextlib.closing(MetricsWriter(workdir)) as writer,
        contextlib.closing(Checkpointer(
            os.path.join(workdir, 'checkpoints'))) as checkpointer):
    outcome = loop.fit(
        compiled, state, key,
        lambda step: pipeline.batches(most, _BATCH, seed=run.seed,
                                      start_step=step),
        num_steps=run.steps, save_every=every, checkpointer=checkpointer,
        writer=writer, hooks=[loop.Hook(every, hook)],
        best_metric='held_out/loss')
    if outcome.stopped:
      print('stopped: the same command goes on')
      raise SystemExit(130)
    restored = checkpointer.restore(outcome.state, checkpointer.best_step())
  state = restored[0] if restored else outcome.state
  return state.averages['ema']


MODELS: Mapping[str, Callable[[Run, Array], Fitted]] = {
    'gaussian': _gaussian,
    'mixture': _mixture,
    'histogram': _histogram,
    'kde': _kernel_density,
    'energy': _energy,
    'flow': _flow,
}
