"""What the benchmark is told, and what it needs."""

import sys

import pytest

from experiments import benchmark
from genjax.reports import benchmark_page
from genjax.reports.table import make_table


@pytest.mark.parametrize('words, said', [
    ([], 'must be told one of distributions, cdf, training, sampling, startup, '
         'memory, sizes, page, got nothing'),
    (['diffusion'], 'memory, sizes, page, got diffusion'),
    (['distributions', 'fast'], 'got distributions fast'),
])
def test_benchmark_wants_the_name_of_a_suite(run, tmp_path, words, said):
  result = run(benchmark, f'--workdir={tmp_path}/x', *words)
  assert result.code == 1 and result.err.count('\n') == 1
  assert said in result.err


def test_a_slice_is_for_sizes_alone(run, tmp_path):
  run(benchmark, 'cdf', '--topology=v5e:4x4', f'--workdir={tmp_path}/x'
      ).check_refusal('benchmark', ['--topology: must be absent but of sizes, '
                                    "got 'v5e:4x4'"])


@pytest.mark.parametrize('suite, library', [
    ('distributions', 'distrax'), ('training', 'torch'), ('memory', 'torch')])
def test_benchmark_says_what_to_install(run, tmp_path, monkeypatch, suite,
                                        library):
  monkeypatch.setitem(sys.modules, library, None)  # importing it fails
  result = run(benchmark, suite, f'--workdir={tmp_path}/x')
  assert result.code == 1 and result.err.count('\n') == 1
  assert f'needs {library}' in result.err and '[bench]' in result.err
  assert not (tmp_path / 'x').exists()


def test_benchmark_page_is_of_the_reports(run, tmp_path):
  (tmp_path / 'a').mkdir()
  benchmark_page.write(str(tmp_path / 'a'), 'memory', 'most memory',
                       make_table(['case', 'ours'], [('net', 3)]),
                       benchmark_page.facts())
  result = run(benchmark, 'page', f'--workdir={tmp_path}',
               f'--out={tmp_path}/page.md')
  assert result.code == 0 and f'wrote {tmp_path}/page.md' in result.out
  assert '## Memory' in (tmp_path / 'page.md').read_text()
