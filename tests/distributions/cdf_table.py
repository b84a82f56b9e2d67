"""Makes cdf_table.npz, the cumulative probabilities that test_cdf holds.

  python -m pip install mpmath
  python tests/distributions/cdf_table.py

Computed by mpmath at 50 digits, which the tests do not need: incomplete gamma
and beta functions by power series of positive terms (DLMF 8.7.1, 8.17.7 with
8.17.8), all else in closed form. Of every family there are 500 points, [500, P
+ 3]: its params, x, and the probability at these and at what float32 rounds
them to. Params are spread evenly in their logarithm from 1e-6 to 1e8, and half
of x lie at quantiles from 1e-10 to 1 - 1e-10, half within three standard
deviations of the mean. Takes minutes.
"""

import pathlib
import warnings

from mpmath import mpf
import mpmath as mp
import numpy as np
from scipy import stats

mp.mp.dps = 50
NUM = 500
LEVELS = 256  # of the discretized logistic
_ONE = 1 << 200  # fixed-point one: sums of a million terms keep 50 digits


def gamma_lower(a, t):
  """P(a, t) = t^a e^-t / Gamma(a + 1) times the sum of t^n / (a + 1)_n."""
  if t <= 0:
    return mpf(0)
  if t == mp.inf:
    return mpf(1)
  first = mp.exp(a * mp.log(t) - t - mp.loggamma(a + 1))
  fixed_a, fixed_t = int(a * _ONE), int(t * _ONE)
  term, total, n = _ONE, 0, 0
  while term > (total >> 170) or fixed_t > fixed_a + n * _ONE:
    total += term
    n += 1
    term = term * fixed_t // (fixed_a + n * _ONE)
  return first * mpf(total) / _ONE


def beta_lower(a, b, p, q):
  """I_p(a, b), of p + q = 1, by the series of the smaller of the two."""
  if p <= 0:
    return mpf(0)
  if q <= 0:
    return mpf(1)
  return _beta_series(a, b, p, q) if p < 0.5 else 1 - _beta_series(b, a, q, p)


def _beta_series(a, b, p, q):
  first = mp.exp(a * mp.log(p) + b * mp.log(q) + mp.loggamma(a + b)
                 - mp.loggamma(a + 1) - mp.loggamma(b))
  fixed_p, fixed_a, fixed_n = (int(v * _ONE) for v in (p, a, a + b))
  term, total, j, growing = _ONE, 0, 0, True
  while growing or term > (total >> 170):
    total += term
    above, below = fixed_n + j * _ONE, fixed_a + (j + 1) * _ONE
    growing = above * fixed_p > below * _ONE
    term = (term * above // below) * fixed_p >> 200
    j += 1
  return first * mpf(total) / _ONE


def _sigmoid(z):
  return 1 / (1 + mp.exp(-z))


def _normal(loc, scale, x):
  return mp.ncdf((x - loc) / scale)


def _laplace(loc, scale, x):
  tail = mp.exp(-abs(x - loc) / scale) / 2
  return tail if x < loc else 1 - tail


def _logistic(loc, scale, x):
  return _sigmoid((x - loc) / scale)


def _student_t(df, loc, scale, x):
  if mp.isinf(x):
    return mpf(x > 0)
  square = ((x - loc) / scale)**2
  tail = beta_lower(df / 2, mpf(0.5), df / (df + square),
                    square / (df + square)) / 2
  return tail if x < loc else 1 - tail


def _uniform(low, high, x):
  return min(max((x - low) / (high - low), mpf(0)), mpf(1))


def _exponential(rate, x):
  return -mp.expm1(-rate * max(x, mpf(0)))


def _gamma(a, rate, x):
  return gamma_lower(a, rate * x)


def _beta(a, b, x):
  return beta_lower(a, b, x, 1 - x)


def _bernoulli(logits, x):
  if x < 0:
    return mpf(0)
  return _sigmoid(-logits) if x < 1 else mpf(1)


def _binomial(n, logits, x):
  x = mp.floor(x)
  if x < 0 or x >= n:
    return mpf(x >= n)
  return beta_lower(n - x, x + 1, _sigmoid(-logits), _sigmoid(logits))


def _poisson(rate, x):
  x = mp.floor(x)
  return mpf(0) if x < 0 else 1 - gamma_lower(x + 1, rate)


def _categorical(*logits_and_x):
  *logits, x = logits_and_x
  masses = [mp.exp(v) for v in logits]
  return sum(masses[:max(int(mp.floor(x)) + 1, 0)], mpf(0)) / sum(masses)


def _discretized_logistic(loc, scale, x):
  top = LEVELS - 1
  level = mp.nint((x + 1) * top / 2)
  if level >= top:
    return mpf(1)
  return _sigmoid(((2 * level + 1 - top) / top - loc) / scale)


def _spread(rng, low=-6.0, high=8.0):
  return 10**rng.uniform(low, high, NUM)


def _shares(rng):
  """Probabilities, of which half are in the far tails."""
  tail = 10**rng.uniform(-10, -1, NUM)
  return np.choose(rng.integers(4, size=NUM), [
      tail, 1 - tail, *rng.uniform(0.1, 0.9, (2, NUM))])


def _points(rng, frozen, low=-np.inf, high=np.inf):
  """Half quantiles, half near the mean, or where there is none the median."""
  with warnings.catch_warnings(), np.errstate(all='ignore'):
    warnings.simplefilter('ignore')
    at_quantile = frozen.ppf(_shares(rng))
    mean, std = np.asarray(frozen.mean()), np.asarray(frozen.std())
    std = np.where(np.isfinite(std), std, 1.0)
    mean = np.where(np.isfinite(mean), mean, frozen.median())
    near = np.clip(mean + rng.uniform(-3, 3, NUM) * std, low, high)
    use = (rng.random(NUM) < 0.5) & np.isfinite(at_quantile)
  return np.where(use, at_quantile, near)


def _signed(rng):
  return rng.choice([-1, 1], NUM) * _spread(rng)


def _located(rng, frozen):
  loc, scale = _signed(rng), _spread(rng)
  return loc, scale, _points(rng, frozen(loc, scale))


def columns():
  """Of every family: the reference, and params and x as arrays [500]."""
  rng = np.random.default_rng(0)
  for name, reference, frozen in (
      ('normal', _normal, stats.norm), ('laplace', _laplace, stats.laplace),
      ('logistic', _logistic, stats.logistic)):
    yield name, reference, _located(rng, frozen)
  df, loc, scale = _spread(rng), _signed(rng), _spread(rng)
  yield 'student_t', _student_t, (
      df, loc, scale, _points(rng, stats.t(df, loc, scale)))
  low = _signed(rng)
  width = np.abs(low) * 10**rng.uniform(-4, 4, NUM)
  yield 'uniform', _uniform, (low, low + width,
                              _points(rng, stats.uniform(low, width)))
  rate = _spread(rng)
  yield 'exponential', _exponential, (
      rate, _points(rng, stats.expon(scale=1 / rate), 0))
  a, rate = _spread(rng), _spread(rng)
  yield 'gamma', _gamma, (
      a, rate, _points(rng, stats.gamma(a, scale=1 / rate), 0))
  a, b = _spread(rng), _spread(rng)
  b = np.where(rng.random(NUM) < 0.3, np.clip(
      a * 10**rng.uniform(-1, 1, NUM), 1e-6, 1e8), b)
  yield 'beta', _beta, (a, b, _points(rng, stats.beta(a, b), 0, 1))
  yield 'bernoulli', _bernoulli, (
      _signed(rng) * np.where(rng.random(NUM) < 0.7, 1e-3, 1),
      rng.choice([-1, 0, 0, 0, 0.5, 1, 2], NUM))
  # Rounded to float32 first: of what it rounds, no other count is near.
  n = np.float32(np.ceil(_spread(rng, 0))).astype(float)
  logits = rng.choice([-1, 1], NUM) * 10**rng.uniform(-6, 1.2, NUM)
  x = _points(rng, stats.binom(n, 1 / (1 + np.exp(-logits))), 0)
  yield 'binomial', _binomial, (n, logits, np.minimum(np.round(x), n))
  rate = _spread(rng)
  yield 'poisson', _poisson, (
      rate, np.round(_points(rng, stats.poisson(rate), 0)))
  yield 'categorical', _categorical, (
      *rng.normal(scale=5, size=(4, NUM)), rng.integers(-1, 5, NUM))
  # A location from which the upper edge of the level is not far.
  scale, level = _spread(rng), rng.integers(LEVELS, size=NUM)
  step = 2 / (LEVELS - 1)
  loc = (level + 0.5) * step - 1 - scale * stats.logistic.ppf(_shares(rng))
  yield 'discretized_logistic', _discretized_logistic, (
      loc, scale, level * step - 1)


def main():
  table = {}
  for name, reference, inputs in columns():
    rows = np.stack([np.asarray(v, float) for v in inputs], -1)
    with np.errstate(over='ignore'):
      rounded = rows.astype(np.float32).astype(float)
    probabilities = [[float(reference(*map(mpf, map(float, row))))
                      for row in points] for points in (rows, rounded)]
    table[name] = np.concatenate([rows, np.transpose(probabilities)], -1)
    print(name, table[name].shape, flush=True)
  path = pathlib.Path(__file__).with_suffix('.npz')
  with path.open('wb') as file:
    np.savez(file, **table)


if __name__ == '__main__':
  main()
