"""What the benchmark is told, and what it needs."""

import sys

import pytest

from experiments import benchmark


@pytest.mark.parametrize('words, said', [
    ([], 'must be told one of distributions, cdf, got nothing'),
    (['diffusion'], 'must be told one of distributions, cdf, got diffusion'),
    (['distributions', 'fast'], 'got distributions fast'),
])
def test_benchmark_wants_the_name_of_a_suite(run, tmp_path, words, said):
  result = run(benchmark, f'--workdir={tmp_path}/x', *words)
  assert result.code == 1 and result.err.count('\n') == 1
  assert said in result.err


def test_benchmark_says_what_to_install(run, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'distrax', None)  # importing it fails
  result = run(benchmark, 'distributions', f'--workdir={tmp_path}/x')
  assert result.code == 1 and result.err.count('\n') == 1
  assert 'needs distrax' in result.err and '[bench]' in result.err
  assert not (tmp_path / 'x').exists()
