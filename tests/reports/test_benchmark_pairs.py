"""What is made of times of both sides, and that both sides are one network."""

import json

import jax
import numpy as np
import pytest

from genjax.diffusion import process
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.reports import benchmark
from genjax.reports import benchmark_page
from genjax.reports import benchmark_pairs as pairs
from genjax.reports.table import make_table

SMALL = {
    'MLP': pairs.Net(MLP(8, 2), (2,), 4, 4),
    'U-Net': pairs.Net(UNet((4, 8), 1, (1,), 4, groups=2), (4, 4, 1), 4, 4),
    'DiT': pairs.Net(DiT(16, 2, 8, 2), (4, 4, 1), 4, 4),
}


def test_in_rounds_are_milliseconds_of_one_call(monkeypatch):
  """On a clock that each call moves; short ones are repeated in a round."""
  now, calls = [0.0], []

  def takes(name, seconds):
    def call():
      calls.append(name)
      now[0] += seconds
    return call

  monkeypatch.setattr(benchmark.time, 'perf_counter', lambda: now[0])
  ms = pairs.in_rounds({'ours': takes('a', 0.01), 'theirs': takes('b', 1)}, 3)
  np.testing.assert_allclose(ms['ours'], [10] * 3)
  np.testing.assert_allclose(ms['theirs'], [1000] * 3)
  # Two before, and in each round as many as take 0.05 s: each other round in
  # reverse.
  rounds = ''.join(calls)[4:]
  assert rounds == 'aaaaab' + 'baaaaa' + 'aaaaab'


def test_row_has_the_median_of_ratios_and_rates():
  row = pairs.row_of('x', {'ours': np.array([1., 2., 4.]),
                           'theirs': np.array([3., 4., 4.])}, 8, 4e9, 10.0)
  named = dict(zip([getattr(c, 'name', c) for c in pairs.COLUMNS], row))
  assert (named['ours'], named['theirs'], named['speed']) == (2, 4, 2)
  assert (named['low'], named['high'], named['compiled']) == (1, 3, None)
  assert named['images'] == 4000  # eight in two milliseconds
  assert named['gflops'] == 2000 and named['utilisation'] == .2


def test_our_training_step_lowers_the_loss_on_its_state():
  """The step that is timed trains: it moves the params that it holds."""
  net = SMALL['MLP']
  params = pairs.make_params(net, 0)
  step, program = pairs.make_training(net, params, pairs.noise(net, 0))
  step()
  step()  # donates what the first one returned
  assert program.cost_analysis()['flops'] > 0


def test_our_samples_are_those_of_ddim_on_the_leading_grid():
  """Of N(0, 1) data every x_t is N(0, 1), and DDIM turns by known angles."""
  def apply(variables, x, level, cond):
    del variables, cond
    chain = process.discretize(process.linear_betas())
    t = (level.reshape(-1, 1) + 1) / 1000
    return chain.sigma(t) * x  # E[eps | x_t]

  x = np.array([[1.0, -2.0]], np.float32)
  drawn = pairs.make_draw(apply, {}, 'ddim', 4, x)()
  chain = process.discretize(process.linear_betas())
  alpha = chain.alpha(np.array([0.751, 0.501, 0.251, 0.001, 0.0]))
  angle = np.arccos(np.minimum(alpha, 1))
  turned = np.prod(np.cos(angle[:-1] - angle[1:])) * x
  np.testing.assert_allclose(drawn, turned, rtol=1e-4)


def test_a_page_says_when_and_on_what_and_leaves_out_empty_columns(tmp_path):
  (tmp_path / 'training').mkdir()
  table = make_table(['case', 'speed', 'compiled'], [('net', 2.0, None)])
  where = {**benchmark_page.facts(), 'load': 5.0}
  benchmark_page.write(str(tmp_path / 'training'), 'training', 'a step', table,
                       where)
  text = benchmark_page.page(str(tmp_path))
  assert '## Training' in text and 'net' in text and '2' in text
  assert 'compiled' not in text and 'Load of the minute before' in text
  assert jax.__version__ in text and where['date'] in text
  path = tmp_path / 'training' / 'report.json'
  kept = json.loads(path.read_text())
  path.write_text(json.dumps({**kept, 'load': 0.5}))
  assert 'Other programs' not in benchmark_page.page(str(tmp_path))


def test_a_page_of_nothing_is_refused(tmp_path):
  with pytest.raises(ValueError, match='must hold folders with a report.json'):
    benchmark_page.page(str(tmp_path))


@pytest.mark.parametrize('name', SMALL)
def test_both_sides_are_one_network(name):
  """Outputs, counts of params, and samples; needs PyTorch and diffusers."""
  pytest.importorskip('torch')
  pytest.importorskip('diffusers')
  net, torch = SMALL[name], pairs.rival()
  params = pairs.make_params(net, 0)
  pairs.check_nets(name, net, params, torch)
  wrong = jax.tree.map(np.copy, params)
  jax.tree.leaves(wrong)[-1][...] += 1.0

  class Other:
    make_module = staticmethod(
        lambda network, event, _: torch.make_module(network, event, wrong))
    apply, count = staticmethod(torch.apply), staticmethod(torch.count)

  with pytest.raises(ValueError, match='both sides must agree'):
    pairs.check_nets(name, net, params, Other)


def test_own_step_is_what_is_left_of_the_calls_of_the_network(monkeypatch):
  """Of 50 steps, 6 ms less 1 ms, and 60 less 10: 0.1 and 1 ms a step."""
  monkeypatch.setattr(pairs, 'in_rounds', lambda calls, rounds: {
      name: np.full(rounds, ms) for name, ms in zip(calls, (6., 1., 60., 10.))})

  class Other:
    make_draw = make_calls = staticmethod(lambda *args: None)

  row = pairs.own_step(benchmark.Settings(rounds=3), 'ddim', Other)
  np.testing.assert_allclose(row[1:6], [.1, 1, 10, 10, 10], rtol=1e-6)
