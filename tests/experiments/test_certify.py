"""The certificate: what is written, what is kept, what is refused."""

import json

import numpy as np
import pytest

from experiments import certify
from genjax.diffusion import certified
from genjax.diffusion import certified_laws as laws
from genjax.reports import certificate
from genjax.reports import certificate_figures as figures
from genjax.reports import certificate_page as page

pytestmark = pytest.mark.usefixtures('few_dots')


@pytest.fixture(scope='module')
def short():
  """Two processes, and few steps, at which nothing has its order yet."""
  processes = certified.processes()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(certified, 'processes', lambda: {
        name: processes[name] for name in ('ve', 'edm')})
    patch.setattr(laws, 'STEPS', (8, 16))
    patch.setattr(laws, 'BUDGETS', (8,))
    patch.setattr(laws, 'CHUNKS', 2)
    patch.setattr(certified, 'CLAIMS', {})
    yield patch


@pytest.fixture(scope='module')
def written(short, run, tmp_path_factory):
  out = tmp_path_factory.mktemp('certificate')
  result = run(certify, *_flags(out))
  assert result.code == 0, result.err
  return out


def _flags(out):
  return f'--out={out}', '--methods=dpm_solver_2m,ddpm,I-MMSE', (
      '--processes=edm,ve')


def test_a_certificate_holds_every_row(written, files_of):
  with open(written / 'certificate.json', encoding='utf-8') as file:
    kept = json.load(file)
  # As in their tables.
  assert list(kept) == ['ddpm', 'dpm_solver_2m', 'I-MMSE']
  for row in kept.pop('I-MMSE').values():
    found = row['likelihood']
    assert 0 < found['noise'] < 5e-3
    assert abs(found['mean']) < 4 * found['noise'] + 1e-3
  for rows in kept.values():
    assert list(rows) == ['ve', 'edm']
    for row in rows.values():
      spent = row['budgets']['8']
      assert spent['evaluations'] == 8
      assert all(np.isfinite(spent[name]) for name in (
          'mean', 'variance', 'w2'))
  assert {f'certificate/{name}.png' for name in (
      'orders', 'variances', 'distances')} <= set(files_of(written))
  text = (written / 'certificate.md').read_text('utf-8')
  assert '\n| method | ve | edm | mean off by at most |\n' in text
  assert '\n| process | I-MMSE |\n' in text


def test_rows_that_have_not_changed_are_kept_and_claims_held_to(
    written, short, run):
  """One is made stale: it alone is measured again, to the same numbers."""
  path = written / 'certificate.json'
  before = path.read_text('utf-8')
  kept = json.loads(before)
  kept['dpm_solver_2m']['edm']['inputs'] = 'other'
  path.write_text(json.dumps(kept), 'utf-8')
  measured = []
  rows_of = certificate._rows_of

  def seen(name, processes):
    measured.extend((name, p) for p in processes)
    return rows_of(name, processes)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(certificate, '_rows_of', seen)
    patch.setattr(certified, 'CLAIMS', {'dpm_solver_2m': 3})
    patch.setattr(figures, 'draw', lambda folder, rows: figures.FIGURES)
    result = run(certify, *_flags(written))
  assert measured == [('dpm_solver_2m', 'edm')]
  assert json.loads(path.read_text('utf-8')) == json.loads(before)
  # And what is claimed is not found.
  assert result.code == 1
  last = result.err.strip().splitlines()[-1]
  assert last.startswith('certify: an order is not what it is claimed to be: '
                         'dpm_solver_2m on ve (karras): order ')
  assert 'claimed 3' in last


def test_an_unknown_method_is_refused(run, tmp_path):
  result = run(certify, f'--out={tmp_path}', '--methods=magic')
  assert result.code == 1 and result.err.count('\n') == 1
  assert '--methods: each must be one of' in result.err


def _row(order, draws=False):
  errors = [7.0 * n**-order for n in laws.STEPS]
  return {'draws': draws, 'evaluations_per_step': 1, 'budgets': {}} | (
      {'variance_errors': dict.fromkeys(certificate.GRIDS, errors)} if draws
      else {'errors': dict.fromkeys(
          certificate.GRIDS, {'own': [1, 1, 1], 'exact': errors})})


def test_claims_are_held_to_their_tolerance():
  """Of exact starting values; of methods that draw, by the variance, at least.
  """
  rows = {('dpm_solver_3m', 'edm'): _row(2.9), ('ddpm', 'edm'): _row(1.4, True)}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(certified, 'CLAIMS', {'dpm_solver_3m': 3, 'ddpm': 1})
    assert page.check(rows) == []
    rows['ddpm', 'edm'] = _row(.8, True)
    rows['dpm_solver_3m', 've'] = _row(3.2)
    assert len(page.check(rows | {('ddpm', 've'): _row(1., True)})) == 4
