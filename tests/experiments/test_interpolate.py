"""Paths between images by both kinds of model, and the script whole."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from experiments import interpolate
from genjax.data import embedded
from genjax.data import pipeline
from genjax.interpolation import slerp
from genjax.reports import interpolation
from genjax.runs import classifier as classifiers
from genjax.runs import keys
from genjax.runs import vae as vaes
from genjax.runs import vae_settings
from genjax.runs.data import open_data
from genjax.runs.fit import keep_run
from genjax.runs.open import open_run

pytestmark = pytest.mark.usefixtures('few_dots')

DIGITS = embedded.digits('test')
TINY = ('--num_points=9', '--descent=2')


def write_vae(workdir, **values):
  """A workdir as training leaves it, with random parameters."""
  settings = vae_settings.choose({
      'width': (8,), 'latents': 2, 'batch_size': 8, **values})
  data = open_data(settings)
  settings = vae_settings.with_facts(settings, data)
  params = jax.jit(vaes.build(settings).init)(
      keys.key(settings.seed, 'init'), pipeline.batch_at(
          data.train, settings.batch_size, 0, seed=settings.seed))
  keep_run(vaes.TASK, settings, params, str(workdir), data.train)
  return workdir


@pytest.fixture(scope='module')
def vae(tmp_path_factory):
  return write_vae(tmp_path_factory.mktemp('vae') / 'run')


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
  """A VAE of dequantised pixels that knows no classes."""
  return write_vae(tmp_path_factory.mktemp('plain') / 'run', conditional=False,
                   likelihood='gaussian')


@pytest.fixture(scope='module')
def opened(vae, plain, digits_run):
  return {name: open_run(str(workdir)) for name, workdir in (
      ('vae', vae), ('plain', plain), ('diffusion', digits_run))}


def ends(num=2, labels=True):
  batch = {name: x[:num] for name, x in DIGITS.arrays.items()}
  return interpolation.Ends(pipeline.to_model_range(batch['image']),
                            batch['label'] if labels else None)


def told(label):
  return None if label is None else {'label': jnp.asarray(label)}


@pytest.mark.parametrize('name', ['vae', 'diffusion'])
def test_decode_runs_from_class_to_class(opened, name):
  run = opened[name]
  x, label = ends(3)
  z = run.encode(x, told(label))
  other = (label + 1) % 10
  one, two = run.decode(z, told(label)), run.decode(z, told(other))
  share = np.float32([0, 1, .5])[:, None]
  mixed = run.decode(z, told((1 - share) * np.eye(10)[label]
                             + share * np.eye(10)[other]))
  np.testing.assert_allclose(mixed[0], one[0], atol=1e-5)
  np.testing.assert_allclose(mixed[1], two[1], atol=1e-5)
  assert np.abs(one - two).max() > 1e-3
  assert np.abs(mixed[2] - one[2]).max() > 1e-3
  assert np.abs(mixed[2] - two[2]).max() > 1e-3


@pytest.mark.parametrize('name', ['vae', 'plain', 'diffusion'])
def test_find_paths_runs_between_images_and_their_reconstructions(opened, name):
  run = opened[name]
  pair = ends(labels=name != 'plain')
  found = interpolation.find_paths(run, pair, interpolation.PATHS, 5, 2)
  line = found.pop('pixel')
  np.testing.assert_allclose(line, np.linspace(*pair.x, 5), atol=1e-6)
  z = run.encode(pair.x, told(pair.label))
  back = run.decode(z, told(pair.label))
  for x in found.values():
    assert x.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(x[[0, -1]], back, atol=1e-4)
  lengths = {name: np.sum(np.linalg.norm(
      np.diff(x.reshape(5, -1), axis=0), axis=1)) for name, x in found.items()}
  assert lengths['geodesic'] <= lengths['latent'] * (1 + 1e-5)
  if name != 'diffusion':  # whose network is too rough for two steps
    assert lengths['geodesic'] < 0.9999 * lengths['latent']
  shares = None if pair.label is None else np.linspace(
      *np.eye(10)[pair.label], 5)
  arc = run.decode(slerp(*z, jnp.linspace(0, 1, 5)), told(shares))
  np.testing.assert_allclose(found['slerp'], arc, atol=1e-4)
  assert np.abs(found['slerp'] - found['latent']).max() > 1e-2


def test_in_every_class_keeps_the_code(opened):
  run = opened['vae']
  x, label = ends(3)
  styles = interpolation.in_every_class(run, x, label)
  assert styles.shape == (3, 10, 8, 8, 1)
  z = run.encode(x, told(label))
  for column in (label, np.full(3, 7)):
    np.testing.assert_allclose(styles[np.arange(3), column],
                               run.decode(z, told(column)), atol=1e-5)


def test_read_image_takes_positions_and_files(tmp_path):
  item = DIGITS[7]
  np.testing.assert_array_equal(
      interpolate.read_image('first', '7', DIGITS)['image'], item['image'])
  path = tmp_path / 'a.png'
  for mode in ('L', 'RGB'):
    Image.fromarray(item['image'][..., 0]).convert(mode).save(path)
    read = interpolate.read_image('first', str(path), DIGITS)
    np.testing.assert_array_equal(read.pop('image'), item['image'])
    assert not read


@pytest.mark.parametrize('kind', [
    'vae', pytest.param('diffusion', marks=pytest.mark.slow)])
def test_interpolate_leaves_all_that_it_promises(
    run, vae, digits_run, classifier_run, files_of, tmp_path, kind):
  workdir = tmp_path / 'run'
  shutil.copytree({'vae': vae, 'diffusion': digits_run}[kind], workdir)
  before = files_of(workdir)
  picture = tmp_path / 'a.png'
  Image.fromarray(DIGITS[5]['image'][..., 0]).save(picture)
  result = run(interpolate, f'--workdir={workdir}', *TINY, '--first=2',
               f'--second={picture}', '--path=slerp,pixel',
               f'--classifier={classifier_run}')
  assert (result.code, result.err) == (0, '')
  written = files_of(workdir)
  assert {name for name in written if written[name] != before.get(name)} == {
      'interpolation', *(f'interpolation/{name}' for name in (
          'report.json', 'figures', 'figures/interpolation.png',
          'figures/interpolation.gif', 'figures/styles.png'))}
  folder = workdir / 'interpolation'
  with Image.open(folder / 'figures' / 'interpolation.gif') as movie:
    assert movie.n_frames == 17  # there and back

  table = json.loads((folder / 'report.json').read_text())
  assert ('lower bound' in (table['density'] or '')) == (kind == 'vae')
  assert list(table['paths']) == ['slerp', 'pixel']
  assert table['labels'][0] == DIGITS[2]['label']
  for name, row in [*table['paths'].items(), ('real', table['real'])]:
    # The heading begins with the name of a path too.
    *_, line = (line for line in result.out.splitlines()
                if line.split()[:1] == [name])
    for field in interpolation.TITLES:
      values = row[field]
      assert name == 'real' or len(values['along']) == 9
      assert f'{values["mean"]:.3g} ({values["worst"]:.3g})' in line
  x = [pipeline.to_model_range(DIGITS[i]['image']) for i in (2, 5)]
  assert table['paths']['pixel']['pixel_length'] == pytest.approx(
      np.linalg.norm(x[1] - x[0]), rel=1e-5)
  assert all(row['feature_length'] > 0 for row in table['paths'].values())


def test_interpolate_trains_a_classifier_of_the_data_of_the_run(
    run, write_pictures, tmp_path, monkeypatch):
  """A folder without a held-out set, and once without classes too."""
  monkeypatch.setitem(classifiers.RECIPES['images'], 'steps', 2)
  folder = tmp_path / 'pictures'
  for name in ('a', 'b'):
    write_pictures(folder / name, 5, 8)
  for path, classes in ((folder, True), (folder / 'a', False)):
    workdir = write_vae(tmp_path / f'run_{classes}', data=f'folder:{path}',
                        image_size=(8,), network='mlp', conditional=False)
    result = run(interpolate, f'--workdir={workdir}', *TINY, '--first=0',
                 '--second=4', '--path=pixel')
    assert (result.code, result.err) == (0, '')
    kept = workdir / 'interpolation'
    table = json.loads((kept / 'report.json').read_text())
    assert table['labels'] is table['real'] is None
    assert not (kept / 'figures' / 'styles.png').exists()
    assert bool(table['extractor']) == classes
    assert bool(table['paths']['pixel']['feature_length']) == classes
    assert (workdir / 'classifier').exists() == classes
    if classes:
      settings = open_run(str(workdir / 'classifier')).settings
      assert (settings.data, settings.image_size) == (f'folder:{path}', (8,))
      continue
    result = run(interpolate, f'--workdir={workdir}', *TINY,
                 '--classifier=somewhere')
    result.check_refusal('interpolate', ['--classifier', 'classes'])
    # By positions that mean another picture now, then other pictures.
    changed = sorted(path.iterdir())[0]
    Image.new('RGB', (8, 8), 'red').save(changed)
    result = run(interpolate, f'--workdir={workdir}', *TINY)
    result.check_refusal('interpolate', [
        '--workdir', f'another {changed.name!r}'])
    changed.unlink()
    result = run(interpolate, f'--workdir={workdir}', *TINY)
    result.check_refusal('interpolate', [
        '--workdir', f'data without {changed.name!r}'])


@pytest.mark.parametrize('args, said', [
    ('--workdir={missing}', ['--workdir', '{missing}']),
    ('--workdir={empty}', ['--workdir', '{empty}']),
    ('--workdir={classifier}', ['--workdir', '{classifier}']),
    ('--workdir={toy}', ['--workdir', 'images', 'toy:eight_gaussians']),
    ('--first=297', ['--first', '297']),
    ('--second=-1', ['--second', '-1']),
    ('--second={missing}', ['--second', '{missing}']),
    ('--second={empty}', ['--second', '{empty}']),
    ('--first={text}', ['--first', '{text}', 'PNG']),
    ('--first={large}', ['--first', '{large}', '8 x 8', '9 x 8']),
    ('--path=spline', ['--path', 'geodesic', "'spline'"]),
    ('--path=latent,', ['--path', "''"]),
    ('--path=', ['--path']),
    ('--num_points=8', ['num_points', '8']),
    ('--descent=0', ['descent', '0']),
    ('--classifier={missing}', ['--classifier', '{missing}']),
    ('--classifier={vae}', ['--classifier', '{vae}']),
])
def test_interpolate_says_what_is_wrong_in_one_line(
    run, vae, classifier_run, toy_run, files_of, tmp_path, args, said):
  at = {name: tmp_path / name for name in ('missing', 'empty', 'text', 'large')}
  at['empty'].mkdir()
  at['text'].write_text('no picture')
  Image.fromarray(np.zeros((8, 9), np.uint8)).save(at['large'], 'PNG')
  at |= {'classifier': classifier_run, 'toy': toy_run, 'vae': vae}
  before = files_of(vae)
  if '--workdir' not in args:
    args = f'--workdir={vae} {args}'
  result = run(interpolate, *args.format(**at).split())
  result.check_refusal('interpolate',
                       (part.format(**at) for part in said))
  assert files_of(vae) == before
