"""The experiment that gave a string of heads and tails, guessed.

A candidate says which tosses are of coins of unknown bias, Beta(1, 1); all
others are of a fair coin. Its evidence is the probability of the whole string,
by the chain rule: of every toss given those before it.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax import distributions as d
from genjax.checks import check
from genjax.distributions.conjugate import beta_bernoulli
from genjax.reports import table as tables
from genjax.types import Array
from genjax.viz import figures
from genjax.viz import panels
from genjax.viz.panels import Layer


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
    ValueError: another letter.
  """
  odd = sorted(set(text) - set('HT'))
  check(not odd, 'observations', 'must be of H and T only, like HTTHH',
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
    nats = d.bernoulli.log_prob(beta_bernoulli.predictive(belief), x)
    return beta_bernoulli.posterior(belief, x[None]), nats

  return jax.lax.scan(toss, _flat(), x.astype(jnp.int32))[1]


def _flat() -> d.BetaParams:
  return d.BetaParams(jnp.float32(1), jnp.float32(1))


def beliefs(x: np.ndarray) -> list[tuple[str, str, d.BetaParams]]:
  """Candidate, unknown probability and what tosses x [N] say of it: each."""
  learn = jax.jit(beta_bernoulli.posterior)
  return [(name, coin.what, learn(_flat(), coin.outcome))
          for name, coins in CANDIDATES.items() for coin in coins(x)]


def draw(path: str, text: str, x: np.ndarray, verdict: Verdict) -> None:
  """Writes the posterior as tosses come in, and what they say of the coins."""
  color = dict(zip(CANDIDATES, _COLORS))
  kind = 'marked' if len(x) <= 60 else 'line'
  posterior = [Layer(kind, np.arange(len(x) + 1), p, name, color[name])
               for name, p in zip(CANDIDATES, verdict.posterior)]
  bias, learned, top = jnp.linspace(0.002, 0.998, 400), [], 0.0
  for name, what, belief in beliefs(x):
    density = np.exp(d.beta.log_prob(belief, bias))
    top = max(top, np.max(density))
    learned.append(Layer('dashed' if 'second' in what else 'line',
                         np.asarray(bias), density, f'{name}: {what}',
                         color[name]))
  shown = text if len(text) <= 40 else f'{len(x)} tosses, {x.sum()} heads'
  panels.save_panels(path, [[
      panels.Panel(f'Which experiment? {shown}', 'tosses seen',
                   'posterior probability', posterior, y_limits=(-0.03, 1.03)),
      panels.Panel('What each would have learned of its coins',
                   'unknown probability', 'posterior density', learned,
                   x_limits=(0, 1), y_limits=(0, 1.5 * top))]], height=3.6)


def describe(x: np.ndarray, verdict: Verdict) -> list[tables.Table]:
  """The verdict after all of x [N], a row a candidate; and a row a coin."""
  candidates = zip(CANDIDATES, verdict.log_evidence[:, -1].tolist(),
                   verdict.posterior[:, -1].tolist(),
                   verdict.next_heads.tolist())
  coins = [(name, what, *_mean_and_scale(belief))
           for name, what, belief in beliefs(x)]
  return [
      tables.make_table(
          ['candidate', tables.Column('log_evidence', 'log evidence', '.4f'),
           'posterior', tables.Column('next_heads', 'next H', '.3f')],
          list(candidates)),
      tables.make_table(
          ['candidate', tables.Column('probability', 'learned'),
           tables.Column('mean', digits='.3f'),
           tables.Column('standard_deviation', '+/-', '.3f')], coins)]


def _mean_and_scale(belief: d.BetaParams) -> tuple[float, float]:
  total = float(belief.alpha + belief.beta)
  mean = float(belief.alpha) / total
  return mean, math.sqrt(mean * (1 - mean) / (total + 1))
