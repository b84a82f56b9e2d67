"""Every random key is consumed once (DESIGN.md, 3.1), seen by a spy.

The spy is a pseudo-random generator that notes the key of every draw. Two
draws from one key are not independent, which laws of the draws often miss:
noise and label dropout of one example from one key look right one by one.
"""

import collections
import functools
from typing import Callable

import jax
from jax.extend.random import define_prng_impl
from jax.extend.random import threefry_prng_impl as threefry
import jax.numpy as jnp
import optax
import pytest

from genjax import energy
from genjax import mcmc
from genjax.data import toy
from genjax.diffusion import bounds
from genjax.diffusion import conditions
from genjax.diffusion import likelihood
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.distributions import independent
from genjax.distributions import normal
from genjax.distributions import NormalParams
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Context

VP = process.vp_linear()
DRAWS: collections.Counter[tuple[int, ...]] = collections.Counter()


def _bits(key_data, bit_width, shape):
  jax.debug.callback(lambda k: DRAWS.update([tuple(k.tolist())]), key_data)
  return threefry.random_bits(key_data, bit_width, shape)


SPY = define_prng_impl(
    key_shape=threefry.key_shape, seed=threefry.seed, split=threefry.split,
    random_bits=_bits, fold_in=threefry.fold_in, name='spy', tag='spy')


def draws(f: Callable) -> collections.Counter[tuple[int, ...]]:
  """How often f(key) draws from each key."""
  DRAWS.clear()
  jax.block_until_ready(jax.jit(f)(jax.random.key(0, impl=SPY)))
  jax.effects_barrier()
  return DRAWS.copy()


def diffusion_loss(key):
  def apply(variables, x, noise, cond, *, train, rngs):
    del noise, train
    dropout = jax.random.bernoulli(rngs['dropout'], 0.5, x.shape)
    # A draw that nothing depends on would be compiled away, unseen.
    return variables['params'] * x * dropout + cond['absent'][:, None]

  loss_fn = loss.make_loss(
      Diffusion(apply, fixed(VP), prediction.v, 1.0), weighting=weighting.v,
      null=conditions.null, drop=0.5)
  batch = {'x': jnp.ones((4, 2)), 'cond': {'label': jnp.arange(4) % 3},
           'index': jnp.arange(4)}
  return loss_fn(init_model(jnp.ones(())), key, batch, None)


def two_training_steps(key):
  def loss_fn(params, key, batch, context):
    del context
    return params * jnp.sum(batch['x'] * jax.random.normal(key, (2,))), {}

  step = make_step(loss_fn, optax.sgd(0.1), averages={})
  state = init_state(jnp.ones(()), optax.sgd(0.1))
  for _ in range(2):
    state, _ = step(state, key, {'x': jnp.ones(2)})
  return state.params


def sampling(sampler):
  def f(key):
    key_prior, key_steps = jax.random.split(key)
    x = process.prior_sample(key_prior, VP, (4, 2))
    return samplers.sample(key_steps, sampler, lambda x, t: 0.5 * x, x,
                           jnp.linspace(1.0, 0.1, 4)).x
  return f


def scored(estimate):
  return lambda key: estimate(key, VP, lambda x, t: 0.5 * x, jnp.ones((4, 2)),
                              jnp.linspace(1.0, 0.1, 3))


def bowl(params, x):
  return params * jnp.sum(jnp.square(x), axis=-1)


def mala(f):
  return mcmc.mala(f, step_size=0.5)


def chain(make_kernel):
  return lambda key: mcmc.run(
      key, make_kernel(lambda x: bowl(1.0, x)), jnp.ones((4, 2)), 3)


def log_partition(estimate, **options):
  params = 1.0, NormalParams(jnp.zeros(2), jnp.ones(2))
  return lambda key: estimate(
      key, bowl, independent(normal, 1), *params, num_samples=4, **options)


def energy_loss(loss_fn):
  return lambda key: loss_fn(
      jnp.ones(()), key, {'x': jnp.ones((4, 2)), 'index': jnp.arange(4)},
      Context())


CASES = {
    **{f'toy {name}': lambda key, draw=draw: draw(key, 5)
       for name, draw in toy.SETS.items()},
    'normal': lambda key: independent(normal, 1).sample(
        key, NormalParams(jnp.zeros(2), jnp.ones(2)), (3,)),
    'prior_sample': lambda key: process.prior_sample(key, VP, (4, 2)),
    'stratified': lambda key: times.stratified(key, jnp.arange(4)),
    'loss': diffusion_loss,
    'training': two_training_steps,
    'ancestral': sampling(samplers.ancestral(VP)),
    'heun with churn': sampling(samplers.heun(VP, churn=1.0)),
    'flow by probes': scored(functools.partial(
        likelihood.log_likelihood, num_probes=3)),
    'bound': scored(functools.partial(bounds.continuous, num_times=3,
                                      num_samples=2)),
    'langevin': chain(lambda f: mcmc.langevin(f, step_size=0.5)),
    'mala': chain(mala),
    'importance sampling': log_partition(energy.log_partition_importance),
    'annealed importance sampling': log_partition(
        energy.log_partition_annealed, make_kernel=mala,
        betas=jnp.linspace(0.0, 1.0, 4)),
    'contrastive divergence': energy_loss(energy.make_contrastive_divergence(
        bowl, make_kernel=mala, num_steps=2)),
    'denoising score matching': energy_loss(
        energy.make_denoising_score_matching(bowl, scale=0.5)),
    'sliced score matching': energy_loss(
        energy.make_sliced_score_matching(bowl)),
}


@functools.cache
def draws_of_case(name: str) -> collections.Counter[tuple[int, ...]]:
  return draws(CASES[name])


@pytest.mark.parametrize('name', CASES)
def test_every_key_is_consumed_once(name):
  counts = draws_of_case(name)
  assert counts
  assert max(counts.values()) == 1


@pytest.mark.parametrize('f', [
    lambda key: jax.random.normal(key) + jax.random.uniform(key),
    lambda key: jax.vmap(lambda k: jax.random.normal(k))(
        jnp.stack([jax.random.fold_in(key, 1)] * 2)),
    lambda key: jax.lax.scan(
        lambda c, _: (c + jax.random.normal(key), None), 0.0, None, 3)[0],
], ids=['twice', 'whole batch', 'every step'])
def test_draws_sees_a_key_used_twice(f):
  assert max(draws(f).values()) > 1


@pytest.mark.parametrize('name, number', [
    ('ancestral', 4 + 4 * 3),  # the prior, then 3 steps
    # Times, noise, dropout of the condition, the network's own.
    ('loss', 1 + 4 + 4 + 1),
    ('flow by probes', 4),  # of an example, all at once
    # A shift of the levels, and noise at each of them.
    ('bound', 4 * 2 * (1 + 3)),
    ('mala', 4 * 3 * 2),  # every chain's momentum and acceptance, by step
    ('annealed importance sampling', 1 + 4 * 2 * 2),  # none at the last beta
    ('sliced score matching', 4),
])
def test_draws_sees_every_draw(name, number):
  assert sum(draws_of_case(name).values()) == number
