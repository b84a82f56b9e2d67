"""Sections on guidance and restoration: what is kept, what the page says."""

import copy
import json
import pathlib

import pytest

from genjax.diffusion import certified_guidance as guidance
from genjax.diffusion import certified_restoration as restoration
from genjax.reports import certificate
from genjax.reports import certificate_guided as guided
from genjax.reports import certificate_guided_figures as guided_figures
from genjax.reports import certificate_guided_page as guided_page
from genjax.reports import certificate_page as page
from genjax.viz import figures

_DOCS = pathlib.Path(__file__).resolve().parents[2] / 'docs'
_MIXED = guided.RESTORATION.format('mixture')


def _committed():
  kept = json.loads((_DOCS / 'certificate.json').read_text('utf-8'))
  return kept, {(name, what): row for name, rows in kept.items()
                for what, row in rows.items()}


def test_the_committed_page_is_that_of_the_committed_rows():
  """And holds every section, of everything that there is."""
  kept, rows = _committed()
  for section, names in guided.SECTIONS.items():
    assert tuple(kept[section]) == names
  assert (_DOCS / 'certificate.md').read_text('utf-8') == page.page(rows)
  for name in guided_figures.FIGURES:
    assert (_DOCS / 'certificate' / f'{name}.png').exists()


def test_committed_rows_keep_the_laws():
  _, rows = _committed()
  found = guided_page.guidances(rows)
  assert list(found['classifier_free']) == [f'{s:g}' for s in guidance.SCALES]
  for name in ('classifier_free', 'autoguidance', 'classifier'):
    assert guided_page.off(found[name]) < 1e-5
  for name, row in found.items():  # at scale 1 all are the model
    assert row['1']['mean'] == pytest.approx(1, abs=.05), name
    assert row['1']['variance'] == pytest.approx(.25, abs=.05), name
  assert guided_page.doubts(found[guidance.COMPOSED]) < 4
  for section in guided_page.restorations(rows):
    assert 'DPS' in guided_page.overconfident(rows, section, guided_page.ALONG)
    assert {restoration.EXACT, 'twisted SMC 64'} <= set(
        guided_page.calibrated(rows, section))
  assert guided_page.same(rows, 'PiGDM') == [
      guided.RESTORATION.format('isotropic')]


def _text(rows):
  return ' '.join(' '.join(guided_page.parts(
      rows, lambda name: f'<{name}>')).split())


def test_what_the_page_says_changes_with_the_numbers():
  _, rows = _committed()
  before = _text(rows)
  assert before.count('<guidance>') == before.count('<ranks>') == 1
  assert 'PiGDM draws what the exact denoiser does of isotropic data' in before
  other = copy.deepcopy(rows)
  other[_MIXED, 'DPS'].update(spread=[[1., .9, 1.1]] * 2, uniformity=[.5, .5])
  assert guided_page.overconfident(
      other, _MIXED, guided_page.ALONG) == ['replacement', 'RePaint']
  assert 'DPS' in guided_page.calibrated(other, _MIXED)
  free = other[guided.GUIDANCE, 'classifier_free']['scales']
  free['2']['variance'] = .5
  free['3']['off'] = .02
  less, more = guided_page.narrower(other)
  assert 'classifier_free' in more and 'autoguidance' in less
  for name in ('trace', 'mean'):
    other[guided.RESTORATION.format('isotropic'), 'PiGDM'][name] = .5
  after = _text(other)
  assert 'what is sampled is within 2e-02 of it' in after
  assert 'PiGDM draws what the exact denoiser does of none of these' in after


def test_sections_may_stand_alone(monkeypatch, tmp_path):
  """Without methods, and of few restorers; with their figures."""
  monkeypatch.setattr(figures, 'DOTS', 40)
  _, rows = _committed()
  few = {key: rows[key] for key in (
      (guided.GUIDANCE, 'rescaled'), (_MIXED, 'DPS'))}
  assert page.write(str(tmp_path), few) == []
  text = (tmp_path / 'certificate.md').read_text('utf-8')
  assert '## Guidance' in text and '## Order' not in text
  assert '`composed`' not in text.partition('| guidance |')[2]
  assert sorted(p.stem for p in (tmp_path / 'certificate').iterdir()) == [
      'guidance', 'ranks']


def test_a_row_is_measured_again_where_its_program_is_another(
    monkeypatch, tmp_path):
  measured = []
  monkeypatch.setattr(guided, 'SECTIONS', {guided.GUIDANCE: ('momentum',)})
  monkeypatch.setattr(guided, 'facts', lambda section, name: (
      measured.append(name) or {'scales': {}}))

  def measure():
    return certificate.measure(str(tmp_path), lambda line: None,
                               [guided.GUIDANCE])

  for factor, times in ((-.5, 1), (-.5, 1), (-.6, 2)):
    monkeypatch.setattr(guidance, 'MOMENTUM', factor)
    assert list(measure()) == [(guided.GUIDANCE, 'momentum')]
    assert measured == ['momentum'] * times
