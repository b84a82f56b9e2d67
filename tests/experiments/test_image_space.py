"""The script that compares distances between images, whole."""

import json

from PIL import Image
import pytest

from experiments import image_space
from genjax.data.changes import CHANGES
from genjax.runs import classifier

pytestmark = pytest.mark.usefixtures('few_dots')


def test_image_space_leaves_all_that_it_promises(run, tmp_path, monkeypatch):
  monkeypatch.setitem(classifier.RECIPES['images'], 'steps', 2)
  result = run(image_space, f'--workdir={tmp_path}', '--most=100', '--k=3')
  assert (result.code, result.err) == (0, '')
  written = json.loads((tmp_path / 'report.json').read_text())
  assert list(written['measures']) == [
      '3-NN accuracy', *CHANGES, 'nearest training image', 'same class, mean']
  assert written['extractor'] in result.out
  for row, cells in written['measures'].items():
    assert cells.pop('measure') == row and row in result.out
    assert list(cells) == ['pixel L2', '1 - SSIM', 'features']
    for name, estimate in cells.items():
      assert name in result.out
      assert estimate['low'] <= estimate['value'] <= estimate['high']
      assert f'{estimate["value"]:.3f}' in result.out
  with Image.open(tmp_path / 'figures' / 'image_space.png') as picture:
    picture.load()


@pytest.mark.parametrize('args, said', [
    ('--data=toy:moons', ['--data', 'images']),
    ('--data=folder:{folder}', ['--held_out', 'test set']),
    ('--data=folder:{folder} --held_out=0.5', ['--data', 'classes']),
    ('--k=200 --most=100', ['--k', '100', '200']),
    ('--most=0', ['most']),
    ('--classifier={missing}', ['--classifier', '{missing}']),
    ('--classifier={folder}', ['--classifier', '{folder}']),
    ('--classifier={diffusion}', ['--classifier', 'train_classifier']),
])
def test_image_space_says_what_is_wrong_in_one_line(
    run, write_pictures, digits_run, tmp_path, args, said):
  at = {'folder': write_pictures(tmp_path / 'folder', 4, 8),
        'missing': tmp_path / 'missing', 'diffusion': digits_run}
  result = run(image_space, f'--workdir={tmp_path}/run',
               *args.format(**at).split())
  result.check_refusal('image_space',
                       (part.format(**at) for part in said))
  assert not (tmp_path / 'run').exists()
