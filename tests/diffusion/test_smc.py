"""Sequential Monte Carlo against posteriors, products and their evidence."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import exact
from genjax.diffusion import exact_guided
from genjax.diffusion import exact_posterior
from genjax.diffusion import inverse
from genjax.diffusion import operators
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import smc
from genjax.distributions import gaussian
from genjax.distributions.gaussian import GaussianParams
from genjax.metrics import ranks
from tests.diffusion.tables import PROCESSES
from tests.diffusion.truths import TRUTHS

_A = np.array([[1.0, .5]])
_NOISE = .3
_FLOW = process.edm(sigma_max=20.0)


@functools.cache
def _posterior(name, steps, num, particles, data_std, p=_FLOW):
  """(key, y [num, 1]) -> one draw a measurement, and log of the evidence."""
  truth, times = TRUTHS[name], p.grid(steps)
  dims = truth.means.shape[1]
  denoiser = smc.over_particles(truth.exact(p).denoiser)
  operator = operators.matrix(_A[:, :dims])

  @jax.jit
  def draw(key, y):
    key_prior, key_steps, key_pick = jax.random.split(key, 3)
    told = operators.measure('test', operator, y, _NOISE)
    x = process.prior_sample(key_prior, p, (num, particles, dims), truth.std,
                             time=times[0])
    out = samplers.sample(key_steps, smc.twisted(
        p, inverse.make_twist(p, told, truth.std), data_std=data_std),
                          denoiser, x, times)
    return smc.pick(key_pick, out), smc.log_evidence(out.carry[0])

  return draw


def _chain_law(p, times, cov, std, data_std):
  """Covariance of what the chain ends with, by its definition, in numpy.

  x_s is N(m, V): m of q(x_s | x_t, E[x_0 | x_t]), V that of data of variance
  data_std^2 in every direction: 1 / (1 / var(x_s) + a^2 / var(x_t | x_s)).
  """
  alpha, sigma = (np.asarray(f(times), np.float64)
                  for f in (p.alpha, p.sigma))
  values, basis = np.linalg.eigh(cov)
  var = np.full(len(values), (alpha[0] * std)**2 + sigma[0]**2)
  for i in range(len(times) - 1):
    a_t, s_t, a_s, s_s = alpha[i], sigma[i], alpha[i + 1], sigma[i + 1]
    a = a_t / a_s
    fresh = s_t**2 - a**2 * s_s**2
    denoise = a_t * values / (a_t**2 * values + s_t**2)
    mean = a * s_s**2 / s_t**2 + a_s * fresh / s_t**2 * denoise
    prior = (a_s * data_std)**2 + s_s**2
    spread = 0.0 if prior == 0 else 1 / (1 / prior + a**2 / fresh)
    var = mean**2 * var + spread
  return basis @ np.diag(var) @ basis.T


@pytest.mark.parametrize('name', ['vp_linear', 'edm', 'flow_matching'])
@pytest.mark.parametrize('data_std', [0.0, .6])
def test_evidence_has_no_bias(name, data_std):
  """Of 1,000 runs of 8 particles in 12 steps, the chain's own evidence.

  A relative error of 1 % of what is weighed would be seen.
  """
  p, truth = PROCESSES[name], TRUTHS['gaussian']
  y = np.array([[1.1]])
  _, nats = _posterior('gaussian', 12, 1000, 8, data_std, p)(
      jax.random.key(3), np.tile(y, (1000, 1)))
  cov = _chain_law(p, p.grid(12), truth.covs[0], truth.std, data_std)
  want = stats.norm.logpdf(1.1, 0, math.sqrt(
      (_A @ cov @ _A.T).item() + _NOISE**2))
  ratio = np.exp(np.asarray(nats, np.float64) - want)
  error = ratio.std(ddof=1) / math.sqrt(1000)
  assert error < .05
  assert abs(ratio.mean() - 1) < 4 * error
  truly = stats.norm.logpdf(1.1, 0, math.sqrt(
      (_A @ truth.covs[0] @ _A.T).item() + _NOISE**2))
  if data_std == 0:  # so few steps that it is another law's
    assert abs(truly - want) > 4 * error


def test_evidence_of_a_mixture_converges_with_the_steps():
  """The error of the chain at least halves, but for 2 standard errors."""
  truth, num, y = TRUTHS['plane'], 4000, np.array([.4])
  want = float(exact_posterior.gaussian_mixture(
      np.log(truth.weights), truth.means, truth.covs, _A, y,
      _NOISE).log_evidence)
  off = []
  for steps in (10, 20, 40, 80):
    _, nats = _posterior('plane', steps, num, 8, 0.0)(
        jax.random.key(steps), np.tile(y, (num, 1)))
    ratio = np.exp(np.asarray(nats, np.float64) - want)
    off.append((abs(ratio.mean() - 1), ratio.std() / math.sqrt(num)))
  assert off[0][0] > 20 * off[0][1]
  for (much, _), (less, error) in zip(off, off[1:]):
    assert less < much / 1.7 or less < 2 * error


def _energy(a, b, seed, num=999):
  """p-value of the energy test of two sets of N points, by permutations."""
  x = np.concatenate([a, b]).astype(np.float32)
  distances = np.sqrt(np.maximum(
      np.sum(np.square(x[:, None] - x[None]), -1), 0))
  rng = np.random.default_rng(seed)
  sign = np.repeat(np.float32([1, -1]), len(a))
  signs = np.stack([sign, *(rng.permutation(sign) for _ in range(num))], 1)
  energies = -np.sum(signs * (distances @ signs), axis=0)
  return float(np.mean(energies >= energies[0]))


@functools.cache
def _exact_draws(name, num, seed):
  """Truths [num, D], their measurements and draws of the exact posterior."""
  rng, truth = np.random.default_rng(seed), TRUTHS[name]
  y = np.array([.4])
  post = exact_posterior.gaussian_mixture(
      np.log(truth.weights), truth.means, truth.covs, _A, y, _NOISE)
  which = rng.choice(len(truth.weights), num, p=np.exp(np.asarray(
      post.logits, np.float64)) / np.exp(np.asarray(
          post.logits, np.float64)).sum())
  roots = np.linalg.cholesky(np.asarray(post.covs, np.float64))
  z = np.einsum('nij,nj->ni', roots[which], rng.normal(size=(num, 2)))
  return y, np.asarray(post.means)[which] + z, z


@functools.cache
def _drawn(name, particles=64, steps=50):
  y, _, _ = _exact_draws(name, 1000, 0)
  x, _ = _posterior(name, steps, 1000, particles, TRUTHS[name].std)(
      jax.random.key(5), np.tile(y, (1000, 1)))
  return np.asarray(x)


@pytest.mark.parametrize('name, particles, steps', [
    ('gaussian', 64, 50), ('plane', 64, 50),
    pytest.param('gaussian', 256, 200, marks=pytest.mark.slow),
    pytest.param('plane', 256, 200, marks=pytest.mark.slow)])
def test_the_posterior_is_drawn_from(name, particles, steps):
  """1,000 draws, one a run."""
  assert _energy(_drawn(name, particles, steps),
                 _exact_draws(name, 1000, 0)[1], 0) > 1e-3


@pytest.mark.parametrize('repeats', [
    3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_posterior_of_twice_the_covariance_is_not_it(repeats):
  """By the same test of the same size, 95 times of 100."""
  seen = 0
  for seed in range(1, repeats + 1):
    _, x, z = _exact_draws('plane', 1000, seed)
    wide = x + (math.sqrt(2) - 1) * z
    seen += _energy(_drawn('plane'), wide, seed) <= 1e-3
  assert seen >= .95 * repeats


def test_ranks_of_the_truth_are_uniform_and_only_then():
  """500 truths with 31 draws each; twice or half the covariance is refused."""
  truth, rng = TRUTHS['plane'], np.random.default_rng(7)
  which = rng.choice(len(truth.weights), 500, p=truth.weights)
  x = np.stack([rng.multivariate_normal(truth.means[k], truth.covs[k])
                for k in which])
  y = x @ _A.T + _NOISE * rng.normal(size=(500, 1))
  draws, _ = _posterior('plane', 25, 500 * 31, 16, truth.std)(
      jax.random.key(9), np.repeat(y, 31, axis=0))
  draws = np.asarray(draws).reshape(500, 31, 2)
  centre = draws.mean(1, keepdims=True)
  for factor in (1.0, 2.0, .5):
    found = ranks.ranks(x, centre + math.sqrt(factor) * (draws - centre))
    for i in range(2):
      assert (ranks.uniformity(found[:, i], 31) > 1e-3) == (factor == 1)
    low, high = ranks.spread(found, 31)[1:]
    assert (low < 1 < high) == (factor == 1) and (low > 1) == (factor < 1)


@pytest.mark.parametrize('slope, want', [(.5, 1.133148), (1.0, 1.648721)])
def test_a_reward_tilts_the_law_and_its_mean_is_found(slope, want):
  """N(0, 1) by exp(slope x): N(slope, 1), and Z by numbers of the oracle."""
  p, num = PROCESSES['vp_linear'], 1000
  denoiser = exact.gaussian(p, jnp.zeros(1), jnp.eye(1)).denoiser
  times = p.grid(20)

  @jax.jit
  def draw(key):
    x = process.prior_sample(key, p, (num, 16, 1), 1.0, time=times[0])
    out = samplers.sample(key, smc.twisted(
        p, lambda x0, t: slope * x0[..., 0], data_std=1.0),
                          smc.over_particles(denoiser), x, times)
    return smc.pick(key, out)[:, 0], smc.log_evidence(out.carry[0])

  x, nats = draw(jax.random.key(1))
  z = np.exp(np.asarray(nats, np.float64))
  assert abs(z.mean() - want) < 4 * z.std() / math.sqrt(num)
  assert .0001 < z.std() / math.sqrt(num) < .03
  assert stats.kstest(np.asarray(x), stats.norm(slope, 1).cdf).pvalue > 1e-3


@functools.cache
def _composed(exponents, num, particles, steps, p=_FLOW):
  """Draws and log Z of powers of a Gaussian and a mixture on the plane."""
  one, other = _EXPERTS
  times = p.grid(steps)
  first, second = (smc.over_particles(truth.exact(p).denoiser)
                   for truth in (one, other))

  @jax.jit
  def draw(key):
    key_prior, key_steps, key_pick = jax.random.split(key, 3)
    x = process.prior_sample(key_prior, p, (num, particles, 2), .6,
                             time=times[0])
    sampler = smc.composed(p, [second], exponents, data_std=.6)
    out = samplers.sample(key_steps, sampler, first, x, times)
    return smc.pick(key_pick, out), smc.log_evidence(out.carry)

  x, nats = draw(jax.random.key(2))
  return np.asarray(x, np.float64), np.asarray(nats, np.float64)


_EXPERTS = (TRUTHS['gaussian'], TRUTHS['plane'])


def _moments_agree(x, mean, cov):
  """Each mean to 4 standard errors, each second moment too."""
  root = np.linalg.cholesky(cov)
  z = np.linalg.solve(root, (x - mean).T).T
  error = 1 / math.sqrt(len(x))
  assert np.all(np.abs(z.mean(0)) < 4 * error)
  second = z.T @ z / len(x) - np.eye(2)
  assert np.all(np.abs(second) < 4 * error * np.array([[2**.5, 1], [1, 2**.5]]))


def test_a_product_of_a_gaussian_and_a_mixture_is_the_mixture():
  """Of products, each with its own Z."""
  one, other = _EXPERTS
  x, nats = _composed((1.0, 1.0), 1000, 64, 50)
  parts = [gaussian.product(GaussianParams(one.means[0], one.covs[0]),
                            GaussianParams(m, c))
           for m, c in zip(other.means, other.covs)]
  joint = np.log(other.weights) + np.array([float(nats) for _, nats in parts])
  share = np.exp(joint) / np.exp(joint).sum()
  means, covs = (np.stack([np.asarray(getattr(q, n)) for q, _ in parts])
                 for n in ('mean', 'cov'))
  mean = share @ means
  cov = np.einsum('k,kij->ij', share, covs + np.einsum(
      'ki,kj->kij', means - mean, means - mean))
  _moments_agree(x, mean, cov)
  ratio = np.exp(nats - np.log(np.exp(joint).sum()))
  error = ratio.std() / math.sqrt(len(ratio))
  assert error < .1 and abs(ratio.mean() - 1) < 4 * error


@pytest.mark.parametrize('power', [.5, 2.0])
def test_a_tempered_gaussian_is_narrower_or_wider(power):
  """p^b of N(m, C) is N(m, C / b), and Z a power of its determinant."""
  one = _EXPERTS[0]
  x, nats = _composed((power, 0.0), 1000, 64, 50)
  cov = one.covs[0] / power
  _moments_agree(x, one.means[0], cov)
  _, log_det = np.linalg.slogdet(2 * np.pi * one.covs[0])
  want = .5 * (np.linalg.slogdet(2 * np.pi * cov)[1] - power * log_det)
  ratio = np.exp(nats - want)
  error = ratio.std() / math.sqrt(len(ratio))
  assert error < .1 and abs(ratio.mean() - 1) < 4 * error


def test_exponents_of_guidance_give_the_law_that_it_is_said_to_sample():
  """Powers w and 1 - w of N(1, .25) and N(0, 1), which guidance does not."""
  p, num, scale = _FLOW, 1000, 1.5
  times = p.grid(60)
  cond, uncond = (smc.over_particles(exact.gaussian(
      p, jnp.full(1, m), jnp.full((1, 1), v)).denoiser)
                  for m, v in ((1.0, .25), (0.0, 1.0)))

  @jax.jit
  def draw(key):
    x = process.prior_sample(key, p, (num, 64, 1), 1.0, time=times[0])
    out = samplers.sample(key, smc.composed(
        p, [uncond], (scale, 1 - scale), data_std=1.0), cond, x, times)
    return smc.pick(key, out)[:, 0]

  x = draw(jax.random.key(1))
  cond, uncond = (exact_guided.Law(*law) for law in ((1., .25), (0., 1.)))
  said = exact_guided.tilted(cond, uncond, scale)
  does = exact_guided.guided(cond, uncond, scale)
  for law, fits in ((said, True), (does, False)):
    value = stats.kstest(np.asarray(x), stats.norm(
        law.mean[0], law.variance[0]**.5).cdf).pvalue
    assert (value > 1e-3) == fits


def test_a_particle_is_picked_by_its_weight():
  """As often as it weighs, to 4 standard errors; the same of both carries."""
  num, shares = 4000, np.array([.2, .7, .1])
  weights = smc.Weights(jnp.log(jnp.asarray(np.tile(shares, (num, 1)))),
                        jnp.zeros(num))
  x = jnp.broadcast_to(jnp.arange(3.0)[None, :, None], (num, 3, 1))
  got, again = (smc.pick(jax.random.key(0), samplers.Sampled(x, carry, None))
                for carry in (weights, (weights, None)))
  np.testing.assert_array_equal(got, again)
  counts = np.bincount(np.asarray(got)[:, 0].astype(int), minlength=3)
  assert np.all(np.abs(counts / num - shares)
                < 4 * np.sqrt(shares * (1 - shares) / num))


def test_a_sample_does_not_depend_on_the_others():
  """Nor on how many there are; its particles are its own."""
  y = np.array([[.4], [1.0], [-.3]])
  key = jax.random.key(0)
  three, nats = _posterior('plane', 5, 3, 4, .6)(key, y)
  two, fewer = _posterior('plane', 5, 2, 4, .6)(key, y[:2])
  np.testing.assert_allclose(three[:2], two, rtol=1e-5)
  np.testing.assert_allclose(nats[:2], fewer, rtol=1e-5)


@pytest.mark.parametrize('call, said', [
    (lambda p, d: smc.twisted(p, lambda x0, t: x0, threshold=2.0),
     'twisted: threshold must be in'),
    (lambda p, d: smc.composed(p, [d], (1.0,), data_std=1.0),
     'composed: exponents must be 2, one a model'),
    (lambda p, d: smc.composed(p, [d], (1.0, -1.0), data_std=1.0),
     'composed: exponents must be finite, of a positive sum'),
    (lambda p, d: smc.composed(p, [d], (1.0, math.nan), data_std=1.0),
     'composed: exponents must be finite'),
    (lambda p, d: smc.composed(p, [d], (1.0, 1.0), data_std=0.0),
     'composed: data_std must be positive'),
    (lambda p, d: samplers.sample(
        jax.random.key(0), smc.composed(p, [d], (1., 1.), data_std=1.0), d,
        jnp.ones((2, 3)), p.grid(2)), r'smc: x must be \[B, P, ...\]'),
])
def test_what_does_not_fit_is_refused_in_a_line(call, said):
  with pytest.raises(ValueError, match=said):
    call(_FLOW, lambda x, t: x)
