"""Guesses the experiment that gave a string of heads and tails.

A candidate says which tosses are of coins of unknown bias, Beta(1, 1); all
others are of a fair coin. Its evidence is the probability of the whole string,
by the chain rule: of every toss given those before it.
"""

import math
from typing import Any, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax.checks import check
from genjax.distributions.bounded import beta
from genjax.distributions.bounded import BetaParams
from genjax.distributions.conjugate import beta_bernoulli
from genjax.distributions.discrete import bernoulli
from genjax.types import Array
from genjax.viz import figures
from genjax.viz import panels

_MOST_TOSSES = 1000


class Tosses(NamedTuple):
  """Tosses of one coin of unknown bias, and which ones of a string they are."""

  what: str  # the probability that is unknown
  where: slice
  outcome: Array  # 0 or 1


# name -> function of tosses x [N], 1 for heads.
CANDIDATES = {
    'fair coin': lambda x: (),
    'biased coin': lambda x: (Tosses('P(heads)', np.s_[:], x),),
    'sticky coin': lambda x: (
        Tosses('P(same again)', np.s_[1:], x[1:] == x[:-1]),),
    'two coins in turn': lambda x: (
        Tosses('P(heads), first', np.s_[::2], x[::2]),
        Tosses('P(heads), second', np.s_[1::2], x[1::2])),
}
_COLORS = (figures.GREY, figures.BLUE, figures.ORANGE, figures.GREEN)


class Verdict(NamedTuple):
  """What a string of N tosses says of each of C candidates."""

  log_evidence: np.ndarray  # [C, N + 1], nats, of the first 0 ... N tosses
  posterior: np.ndarray  # [C, N + 1], from equal prior probabilities
  next_heads: np.ndarray  # [C], probability of heads after all of them


def parse_tosses(text: str) -> np.ndarray:
  """Tosses int32 [N] of a string of H, 1, and T, 0.

  Raises:
    ValueError: anything else, or too few or too many.
  """
  where = '--observations'
  check(1 <= len(text) <= _MOST_TOSSES, where,
        f'must be 1 to {_MOST_TOSSES} tosses', len(text))
  odd = sorted(set(text) - set('HT'))
  check(not odd, where, 'must be of H and T only, like HTTHH',
        repr(''.join(odd)))
  return np.array([letter == 'H' for letter in text], np.int32)


def guess(x: np.ndarray) -> Verdict:
  """What tosses int32 [N], 1 for heads, say of the candidates: Bayes' rule."""
  extended = np.append(x, 1)
  nats = np.full((len(CANDIDATES), len(extended)), -math.log(2))
  for row, coins in zip(nats, CANDIDATES.values()):
    for coin in coins(extended):
      row[coin.where] = _one_by_one(coin.outcome)
  log_evidence = np.cumsum(np.pad(nats[:, :-1], ((0, 0), (1, 0))), axis=1)
  return Verdict(log_evidence, special.softmax(log_evidence, axis=0),
                 np.exp(nats[:, -1]))


@jax.jit
def _one_by_one(x: Array) -> Array:
  """Nats [N] of each toss of a coin of unknown bias given those before."""

  def toss(belief, x):
    nats = bernoulli.log_prob(beta_bernoulli.predictive(belief), x)
    return beta_bernoulli.posterior(belief, x[None]), nats

  return jax.lax.scan(toss, _flat(), x.astype(jnp.int32))[1]


def _flat() -> BetaParams:
  return BetaParams(jnp.float32(1), jnp.float32(1))


def _learned(coin: Tosses) -> BetaParams:
  return jax.jit(beta_bernoulli.posterior)(_flat(), coin.outcome)


def draw(path: str, text: str, x: np.ndarray, verdict: Verdict) -> None:
  """Writes the posterior as tosses come in, and what they say of the coins."""
  seen = np.arange(len(x) + 1)
  posterior = [panels.Layer('marked' if len(x) <= 60 else 'line', seen, p,
                            name, color)
               for name, p, color in zip(CANDIDATES, verdict.posterior,
                                         _COLORS)]
  bias = jnp.linspace(0.002, 0.998, 400)
  learned, top = [], 0.0
  for (name, coins), color in zip(CANDIDATES.items(), _COLORS):
    for kind, coin in zip(('line', 'dashed'), coins(x)):
      density = np.exp(beta.log_prob(_learned(coin), bias))
      top = max(top, np.max(density))
      learned.append(panels.Layer(kind, np.asarray(bias), density,
                                  f'{name}: {coin.what}', color))
  shown = text if len(text) <= 40 else f'{len(x)} tosses, {x.sum()} heads'
  panels.save_panels(path, [[
      panels.Panel(f'Which experiment? {shown}', 'tosses seen',
                   'posterior probability', posterior, y_limits=(-0.03, 1.03)),
      panels.Panel('What each would have learned of its coins',
                   'unknown probability', 'posterior density', learned,
                   x_limits=(0, 1), y_limits=(0, 1.5 * top))]], height=3.6)


def describe(x: np.ndarray, verdict: Verdict) -> list[dict[str, Any]]:
  """The verdict after all of x [N], a row a candidate."""
  rows = []
  for i, (name, coins) in enumerate(CANDIDATES.items()):
    rows.append({
        'candidate': name,
        'log_evidence': float(verdict.log_evidence[i, -1]),
        'posterior': float(verdict.posterior[i, -1]),
        'next_heads': float(verdict.next_heads[i]),
        'learned': {coin.what: _mean_and_scale(_learned(coin))
                    for coin in coins(x)}})
  return rows


def _mean_and_scale(belief: BetaParams) -> dict[str, float]:
  total = float(belief.alpha + belief.beta)
  mean = float(belief.alpha) / total
  return {'mean': mean,
          'standard_deviation': math.sqrt(mean * (1 - mean) / (total + 1))}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """The verdict as text."""
  lines = [f'{"candidate":<18} {"log evidence":>12} {"posterior":>9} '
           f'{"next H":>6}  learned']
  for row in rows:
    learned = ', '.join(
        f'{what} = {belief["mean"]:.3f} +/- {belief["standard_deviation"]:.3f}'
        for what, belief in row['learned'].items())
    line = (f'{row["candidate"]:<18} {row["log_evidence"]:12.4f} '
            f'{row["posterior"]:9.3g} {row["next_heads"]:6.3f}  {learned}')
    lines.append(line.rstrip())
  return '\n'.join(lines)
