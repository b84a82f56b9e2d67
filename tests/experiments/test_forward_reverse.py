"""Both processes on file, and the distance to the exact marginals."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments import forward_reverse
from genjax import viz
from genjax.data import toy
from genjax.diffusion import exact
from genjax.reports import forward_reverse as report
from genjax.reports.table import as_json
from genjax.runs import diffusion
from genjax.runs import open_run
from genjax.runs.data import reopen_data
from genjax.viz.figures import BLUE
from tests.figures import BARE
from tests.figures import ink

POINTS = 800


def frames_of(path):
  with Image.open(path) as movie:
    return movie.n_frames


def test_images_become_a_strip_and_an_animation(run, digits_run, files_of):
  before = files_of(digits_run)
  result = run(forward_reverse, f'--workdir={digits_run}', '--steps=9')
  assert result.code == 0 and result.err == ''
  figures = digits_run / 'figures'
  # Ten noise levels, data to noise and back.
  assert frames_of(figures / 'forward_reverse.gif') == 20
  assert ink(figures / 'forward_reverse.png') > 2 * BARE
  written = files_of(digits_run)
  assert {name for name in written if written[name] != before.get(name)} == {
      'figures/forward_reverse.gif', 'figures/forward_reverse.png'}
  assert all(name in result.out for name in ('reverse.gif', 'reverse.png'))


def test_points_are_measured_against_their_exact_marginals(
    run, toy_run, monkeypatch):
  monkeypatch.setattr(report, 'POINTS', POINTS)
  result = run(forward_reverse, f'--workdir={toy_run}', '--steps=9')
  assert result.code == 0 and result.err == ''
  figures = toy_run / 'figures'
  assert frames_of(figures / 'forward_reverse.gif') == 20
  assert ink(figures / 'forward_reverse.png', BLUE) > 1e-3
  rows = json.loads((toy_run / 'report.json').read_text())
  ratios = [row['noise_to_signal'] for row in rows]
  assert len(rows) == 9 and ratios == sorted(ratios, reverse=True)
  assert ratios[-1] == 0 and ratios[0] > 10  # from noise to data
  assert all(np.isfinite(list(row.values())).all() for row in rows)
  assert all(row['floor'] > 0 for row in rows)
  # At first both are pure noise; a random network ends nowhere near the data.
  assert rows[0]['energy_distance'] < 4 * rows[0]['floor']
  assert rows[-1]['energy_distance'] > 10 * rows[-1]['floor']
  # The table is printed too: a line a row under two of heading.
  assert len(result.out.splitlines()) == 2 + 9 + 1


def test_example_images_are_those_of_the_run(digits_run):
  opened = open_run(str(digits_run))
  data = reopen_data(str(digits_run), opened)
  x, label = report.example_images(opened, data, 36)
  assert x.shape == (36, 8, 8, 1) and label.shape == (36,)
  assert x.min() >= -1 and x.max() <= 1
  _, none = report.example_images(opened._replace(settings=dataclasses.replace(
      opened.settings, conditional=False)), data, 4)
  assert none is None


def test_a_perfect_model_is_as_near_as_the_floor(
    toy_run, tmp_path, monkeypatch):
  """And what is drawn is at the noise levels that the captions say."""
  drawn = {}
  monkeypatch.setattr(report, 'POINTS', POINTS)
  monkeypatch.setattr(viz, 'save_point_strips',
                      lambda path, strips: drawn.update(strips))
  monkeypatch.setattr(viz, 'save_gif', lambda path, frames: None)
  monkeypatch.setattr(viz, 'point_frame', lambda *args: None)
  settings = dataclasses.replace(open_run(str(toy_run)).settings,
                                 sampler='heun', sampling_steps=24)
  parts = diffusion.build(settings).parts
  weights, means, scale = toy.eight_gaussians_mixture()
  truth = exact.gaussian_mixture(
      parts.process, jnp.log(weights), jnp.asarray(means, jnp.float32),
      scale**2 * jnp.eye(2))
  parts = parts._replace(draw=diffusion.make_draw(
      settings, lambda params, cond=None: truth.denoiser,
      parts.diffusion.process_of))
  _, table = report.draw_points(parts, {}, 'eight_gaussians', False, 0,
                                str(tmp_path))
  for row in as_json(table):
    # Both are draws of one law: under it the ratio of two such statistics
    # seldom passes 6 in two dimensions.
    assert row['energy_distance'] < 6 * row['floor'], row

  forward, reverse = drawn.values()
  captions = [float(panel.caption) for panel in forward]
  assert captions == sorted(captions) and captions[0] == 0
  assert [float(panel.caption) for panel in reverse] == captions[::-1]
  # A ring of radius 1.6: each coordinate has variance 1.6^2 / 2.
  variance = 1.6**2 / 2 + scale**2
  for panel in (*forward, *reverse):  # x0 + sigma eps on this process
    want = np.hypot(np.sqrt(variance), float(panel.caption))
    # 1600 numbers have a standard error of 2 %; captions have two digits.
    np.testing.assert_allclose(np.std(panel.points), want, rtol=0.12)
    nats = panel.log_density(jnp.asarray(panel.points))
    assert np.isfinite(np.asarray(nats)).all()
