"""Random experiments against closed forms, and how they are guessed."""

import json
import math

import numpy as np
from PIL import Image
import pytest
from scipy import special
from scipy import stats

from experiments import guess_experiment
from experiments import random_experiments

NAMES = list(guess_experiment.CANDIDATES)
FLAGS = ('--num_draws=64',)


def experiment(name):
  return random_experiments.make_experiment(
      *random_experiments.EXPERIMENTS[name])


@pytest.mark.parametrize('name', random_experiments.EXPERIMENTS)
def test_make_experiment_moments_are_those_of_the_outcomes(name):
  values, p = map(np.asarray, random_experiments.EXPERIMENTS[name])
  found = experiment(name)
  law = stats.rv_discrete(values=(values, p))
  mean, variance, skewness = law.stats(moments='mvs')
  np.testing.assert_allclose(
      (found.mean, found.scale, found.skewness),
      (mean, math.sqrt(variance), skewness), rtol=1e-12, atol=1e-12)
  third = p @ np.abs((values - mean) / math.sqrt(variance))**3
  np.testing.assert_allclose(found.third, third, rtol=1e-12)


def test_make_experiment_finds_the_lattice():
  found = random_experiments.make_experiment(
      range(1, 7), (0, 0.25, 0, 0.25, 0, 0.5))
  assert (found.low, found.step) == (2, 2)
  np.testing.assert_array_equal(found.pmf, (0.25, 0.25, 0.5))


def test_sums_of_a_coin_are_binomial():
  found = random_experiments.sums(experiment('coin'), 100)
  assert list(found) == [1, 2, 4, 8, 16, 32, 64]
  for n, pmf in found.items():
    np.testing.assert_allclose(
        pmf, stats.binom(n, 0.5).pmf(np.arange(n + 1)), rtol=1e-12)


def test_standardised_sums_have_mean_zero_and_variance_one():
  for name in random_experiments.EXPERIMENTS:
    one = experiment(name)
    for n, pmf in random_experiments.sums(one, 16).items():
      z = random_experiments.standardised(one, n, pmf)
      np.testing.assert_allclose((pmf @ z, pmf @ z**2), (0, 1), atol=1e-12)


def test_kolmogorov_distance_of_a_coin_is_half_its_central_probability():
  """At an even n the largest jump is that at the mean, of P(n/2 heads)."""
  coin = experiment('coin')
  for n, pmf in random_experiments.sums(coin, 1024).items():
    want = special.ndtr(1) - 0.5 if n == 1 else stats.binom(n, 0.5).pmf(n // 2)
    np.testing.assert_allclose(
        random_experiments.kolmogorov_distance(coin, n, pmf),
        want if n == 1 else want / 2, rtol=1e-10)


@pytest.mark.parametrize('name', random_experiments.EXPERIMENTS)
def test_distance_stays_below_its_bound_and_falls_as_its_limit(name):
  one = experiment(name)
  rows = random_experiments.central_limit(
      one, random_experiments.sums(one, 4096))
  for row in rows:
    assert row['distance'] < row['berry_esseen_bound']
  # The next term of the expansion is smaller by n^-1/2, here 1/64.
  last = rows[-1]
  assert abs(last['distance'] / last['esseen_limit'] - 1) < 2 / 64
  slope = math.log2(rows[-1]['distance'] / rows[-5]['distance']) / 4
  assert abs(slope + 0.5) < 0.02


@pytest.mark.parametrize('name', ['coin', 'roulette'])
def test_running_means_have_the_law_of_the_sums(name):
  one = experiment(name)
  found = random_experiments.sums(one, 256)
  means = random_experiments.running_means(one, 256, 3)
  runs = len(means)
  for n, row in zip(found, random_experiments.law_of_large_numbers(
      one, found, means), strict=True):
    exact = row['exact_share_in_band']
    assert (abs(row['share_in_band'] - exact)
            <= 4 * math.sqrt(exact * (1 - exact) / runs) + 1e-12)
    # Of the mean square: by the fourth moment, 3 + excess / n.
    z = random_experiments.standardised(one, n, found[n])
    error = math.sqrt((found[n] @ z**4 - 1) / runs)
    ratio = (row['rms_error'] / row['exact_rms_error'])**2
    assert abs(ratio - 1) <= 4 * error + 1e-12


def _evidence(heads, tails):
  """Of one string under Beta(1, 1)."""
  return (math.factorial(heads) * math.factorial(tails)
          / math.factorial(heads + tails + 1))


def test_guess_evidence_is_the_closed_form():
  verdict = guess_experiment.guess(guess_experiment.parse_tosses('HTTHH'))
  # Repeats of HTTHH: no, yes, no, yes. First coin H T H, second T H.
  want = [2**-5, _evidence(3, 2), 0.5 * _evidence(2, 2),
          _evidence(2, 1) * _evidence(1, 1)]
  assert want[1] == 6 * 2 / 720
  np.testing.assert_allclose(np.exp(verdict.log_evidence[:, -1]), want,
                             rtol=1e-5)  # float32, five sums
  np.testing.assert_allclose(verdict.posterior[:, -1],
                             np.array(want) / sum(want), rtol=1e-5)
  np.testing.assert_allclose(verdict.next_heads, [1 / 2, 4 / 7, 1 / 2, 1 / 2],
                             rtol=1e-5)


def test_guess_of_a_prefix_is_the_verdict_on_the_way():
  x = guess_experiment.parse_tosses('HTTHHHTH')
  whole = guess_experiment.guess(x)
  part = guess_experiment.guess(x[:5])
  np.testing.assert_allclose(whole.log_evidence[:, :6], part.log_evidence,
                             atol=1e-6)
  np.testing.assert_array_equal(whole.posterior[:, 0], 0.25)
  np.testing.assert_allclose(whole.posterior.sum(0), 1, rtol=1e-12)


def _draw(name, num, rng):
  """A string of tosses [num] of one candidate, of known biases."""
  u = rng.random(num)
  if name == 'sticky coin':
    return np.cumsum(np.append(u[0] < 0.5, u[1:] > 0.8)) % 2
  bias = {'fair coin': 0.5, 'biased coin': 0.8,
          'two coins in turn': np.where(np.arange(num) % 2, 0.75, 0.2)}[name]
  return u < bias


@pytest.mark.parametrize('name', NAMES)
def test_guess_recognises_a_long_string(name):
  """A coin too many costs a factor of about sqrt(N).

  So luck of 2.5 standard errors undoes it: in some 2 of 100 strings, with three
  candidates for it.
  """
  rng = np.random.default_rng(0)
  verdicts = [guess_experiment.guess(_draw(name, 1000, rng).astype(np.int32))
              for _ in range(20)]
  best = [NAMES[np.argmax(v.posterior[:, -1])] for v in verdicts]
  assert best.count(name) >= 17


@pytest.fixture(scope='module', name='written')
def write(run, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('random') / 'run'
  result = run(random_experiments, f'--workdir={workdir}',
               '--probabilities=0.2,0.3,0.5', '--observations=HTTHH', *FLAGS)
  assert (result.code, result.err) == (0, '')
  return workdir, result.out


def test_script_writes_figures_numbers_and_flags(written):
  workdir, out = written
  names = ['central_limit.png', 'guess.png', 'law_of_large_numbers.png']
  assert sorted(p.name for p in workdir.iterdir()) == [
      'figures', 'metrics.json', 'settings.json']
  assert sorted(p.name for p in (workdir / 'figures').iterdir()) == names
  for name in names:
    picture = np.asarray(Image.open(workdir / 'figures' / name).convert('L'))
    assert min(picture.shape) > 400
    assert len(np.unique(picture)) > 20
    assert name in out
  metrics = json.loads((workdir / 'metrics.json').read_text())
  assert abs(metrics['mean'] - 2.3) < 1e-12  # 0.2 + 2 0.3 + 3 0.5
  assert [row['draws'] for row in metrics['central_limit']] == [
      1, 2, 4, 8, 16, 32, 64]
  row = metrics['guess'][1]
  assert row['candidate'] == 'biased coin'
  # Beta(4, 3): mean 4/7, variance 12 / (49 8).
  assert abs(row['learned']['P(heads)']['mean'] - 4 / 7) < 1e-6
  assert abs(row['learned']['P(heads)']['standard_deviation']
             - math.sqrt(12 / (49 * 8))) < 1e-6
  assert 'biased coin' in out and 'two coins in turn' in out


BAD = [
    ('--observations=HTX', ['--observations', 'H and T', "'X'"]),
    ('--observations=', ['--observations', '0']),
    (f'--observations={"H" * 1001}', ['--observations', '1001']),
    ('--probabilities=0.5,0.4', ['--probabilities', 'sum to 1', '0.9']),
    ('--probabilities=1.5,-0.5', ['--probabilities', '[0.0, 1.0]', '1.5']),
    ('--probabilities=0.5,nan', ['--probabilities', 'numbers', 'nan']),
    ('--probabilities=half,half', ['--probabilities', "'half'"]),
    ('--probabilities=', ['--probabilities', 'numbers']),
    ('--probabilities=1', ['--probabilities', 'two or more', '1']),
    ('--probabilities=' + ','.join(['0.04'] * 25), ['--probabilities', '20']),
    ('--probabilities=0.5,0.5 --experiment=die', ['--experiment', 'die']),
    ('--experiment=cards', ['experiment', 'cards', 'coin']),
    ('--num_draws=1000000', ['num_draws', '1000000']),
    ('--num_draws=1', ['num_draws', '1']),
    ('HTTHH', ['stray', "'HTTHH'"]),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0][:40] for row in BAD])
def test_script_says_what_is_wrong_in_one_line(run, tmp_path, args, said):
  result = run(random_experiments, f'--workdir={tmp_path}/run', *args.split())
  result.check_refusal('random_experiments', said)
  assert not list(tmp_path.iterdir())


def test_script_again_writes_the_same(run, written, files_of):
  workdir, out = written
  before = files_of(workdir)
  again = run(random_experiments, f'--workdir={workdir}',
              '--probabilities=0.2,0.3,0.5', '--observations=HTTHH', *FLAGS)
  assert again == (0, out, '')
  assert files_of(workdir) == before


def test_script_leaves_a_run_of_other_flags_alone(run, written, files_of):
  workdir, _ = written
  before = files_of(workdir)
  result = run(random_experiments, f'--workdir={workdir}', '--seed=1', *FLAGS)
  assert result.code == 1 and result.err.count('\n') == 1
  assert files_of(workdir) == before
