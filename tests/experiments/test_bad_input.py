"""A wrong command: one line that says what is wrong, and nothing lost."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from experiments import demo
from experiments import forward_reverse
from experiments import quality
from experiments import restore
from experiments import sample
from experiments import train_diffusion
from experiments import train_vae

# (script, its flags, what the line must say). {fresh} is a workdir that does
# not exist, {digits} and {toy} are runs, {bare} one without a checkpoint,
# {samples} a folder of samples; the others hold what their names say. The
# tests see 8 devices.
TRAIN = [
    ('--data=cats', ['--data', 'digits', 'folder', 'tfds', 'toy', "'cats'"]),
    ('--data=', ['--data', "''"]),
    ('--data=digits:3', ['--data', 'digits', '3']),
    ('--data=toy', ['moons', "''"]),
    ('--data=toy:moon', ['moons', "'moon'"]),
    ('--data=toy:moons,turns=2', ['moons', 'noise', "'turns'"]),
    ('--data=toy:moons,noise=loud', ['noise', 'finite', "'loud'"]),
    ('--data=toy:moons,points=0', ['points', 'positive', '0']),
    ('--data=toy:moons,points=1e12', ['points', '10000000', '1000000000000']),
    ('--data=toy:moons,noise=-1', ['noise', 'non-negative', '-1']),
    ('--data=folder:{missing}', ['existing folder', '{missing}']),
    ('--data=folder:', ['--data', 'folder:']),
    ('--data=folder:{empty}', ['{empty}', '.png']),
    ('--data=folder:{broken}', ['b.png', 'repair or remove']),
    ('--data=folder:{cut}', ['cut.png', 'repair or remove']),
    ('--data=folder:{text}', ['note.jpg', 'repair or remove']),
    ('--data=folder:{one} --held_out=0.5', ['2 element']),
    ('--data=folder:{one} --held_out=1', ['held_out', '1']),
    ('--data=folder:{same}', ['--data', 'vary']),
    ('--data=folder:{one} --image_size=6 --width=8,8,8', ['multiples of 4',
                                                          '6 x 6']),
    ('--data=folder:{one} --image_size=0', ['image_size', '0']),
    ('--data=folder:{one} --image_size=320000',
     ['--image_size', '4096', '320000']),
    ('--data=digits --image_size=16', ['--image_size', 'digits', '16']),
    ('--data=digits --held_out=0.1', ['--held_out', 'digits', '0.1']),
    ('--preset=toy --held_out=0.1', ['--held_out', 'toy', '0.1']),
    ('--data=tfds:mnist --held_out=0.1', ['--held_out', 'tfds', '0.1']),
    ('--data=digits --width=8,8,8,8,8', ['multiples of 16', '8 x 8']),
    ('--dat=digits', ["'dat'"]),
    ('--preset=mnist', ['preset', 'mnist', 'digits', 'toy', 'cifar10']),
    ('--network=gan', ['network', 'gan', 'unet']),
    ('--process=subvp', ['process', 'subvp', 'edm']),
    ('--prediction=noise', ['prediction', 'noise', 'eps']),
    ('--parallel=tpu', ['parallel', 'tpu', 'pmap']),
    ('--steps=0', ['steps', '0']),
    ('--steps=ten', ['steps', 'ten']),
    ('--steps=1.5', ['steps', '1.5']),
    ('--learning_rate=0', ['--learning_rate', 'above 0']),
    ('--learning_rate=-1', ['--learning_rate', 'above 0']),
    ('--learning_rate=nan', ['--learning_rate', 'above 0', 'nan']),
    ('--learning_rate=inf', ['--learning_rate', 'at most', 'inf']),
    ('--learning_rate=fast', ['learning_rate', 'fast']),
    ('--save_every=0', ['save_every', '0']),
    ('--log_every=-1', ['log_every', '-1']),
    ('--seed=-1', ['seed', '-1']),
    ('--seed=2147483648', ['seed', '2147483648']),
    ('--batch_size=0', ['batch_size', '0']),
    ('--minutes=nan', ['--minutes', 'must be a number', 'nan']),
    ('--bits=16', ['--bits', '8 or absent for digits', '16']),
    ('--network=dit --width=8 --batch_size=4',
     ['--batch_size', '8 devices', '4']),
    ('--network=dit --width=8 --batch_size=20',
     ['--batch_size', '8 devices', '20']),
    ('--width=0', ['--width', '0']),
    ('--width=a', ['--width', 'a']),
    ('--width=8,', ['--width']),
    ('--width=', ['--width']),
    ('--width=-8', ['--width', '-8']),
    ('--width=17,32', ['--width', 'multiples of 8', '17, 32']),
    ('--network=dit --width=16,32', ['--width', '16', '32']),
    ('--network=dit --width=12', ['--width', 'multiples of 8', '12']),
    ('--preset=toy --width=33', ['--width', 'multiples of 2', '33']),
    ('--network=mlp', ['--network', 'mlp', 'images']),
    ('--preset=toy --network=unet', ['--network', 'unet', 'points']),
    ('--preset=toy --horizontal_flip', ['horizontal_flip', 'images']),
    ('--preset=toy --process=vp_cosine --prediction=eps', ['eps', 'alpha']),
    ('--preset=toy --process=flow_matching --prediction=eps',
     ['eps', 'alpha']),
    ('--data=digits folder', ['stray', "'folder'"]),
    ('--conditional maybe', ['stray', "'maybe'"]),
]

RUNS = [
    # An existing workdir, which must stay as it is.
    (train_diffusion, '--workdir={digits}', ['--workdir', '{digits}']),
    (train_diffusion, '--workdir={digits} --network=dit --width=8 '
     '--batch_size=8 --steps=6 --seed=1', ['{digits}', 'seed=0', '1']),
    (train_diffusion, '--workdir={digits} --network=dit --width=8 '
     '--batch_size=16 --steps=6', ['{digits}', 'batch_size=8', '16']),
    (train_diffusion, '--workdir={bare} --preset=toy', ['{bare}', '=']),
    (train_diffusion, '--workdir={samples} --preset=toy', ['{samples}',
                                                           'kind']),
    (train_diffusion, '--workdir={torn} --preset=toy', ['{torn}', 'JSON']),
    (train_diffusion, '--workdir={file} --preset=toy', ['{file}']),
    (train_diffusion, '--workdir={file}/run --preset=toy', ['{file}/run']),
    (demo, '--workdir={digits}', ['{digits}', '=']),
    (demo, '--workdir={file}/run', ['{file}/run']),
    (demo, '--steps=3', ["'steps'"]),
    (demo, 'fast', ['stray', "'fast'"]),
    (quality, '--num_seeds=0', ['num_seeds', '0']),
    (train_vae, '--workdir={torn}', ['{torn}', 'JSON']),
    (train_vae, '--workdir={file}/run', ['{file}/run']),
    (train_diffusion, '--workdir={fresh} --noconditional --guidance=2',
     ['--guidance', 'unconditional', '2']),
    (train_diffusion, '', ['workdir']),
    (train_vae, '', ['workdir']),
    (sample, '', ['workdir']),
    (forward_reverse, '', ['workdir']),
    (sample, '--workdir={missing}', ['--workdir', '{missing}']),
    (sample, '--workdir={empty}', ['--workdir', '{empty}']),
    (sample, '--workdir={torn}', ['{torn}', 'JSON']),
    (sample, '--workdir={samples}', ['{samples}', 'kind']),
    (sample, '--workdir={nameless}', ['class_names', 'different']),
    (sample, '--workdir={bare}', ['--workdir', '{bare}', 'checkpoint']),
    (forward_reverse, '--workdir={missing}', ['--workdir', '{missing}']),
    (forward_reverse, '--workdir={bare}', ['{bare}', 'checkpoint']),
    *((restore, f'--workdir={{digits}} {args}', said) for args, said in (
        ('--measure=third', ['--measure', 'half', 'blur', "'third'"]),
        ('--measure=blur:wide', ['--measure', 'number', "'blur:wide'"]),
        ('--measure=downsample:3', ['downsample', '3']),
        ('--measure=box:2', ['--measure', 'box', '2']),
        ('--measure=grey', ['--measure', 'grey', '1 channel']),
        ('--solvers=ddrm', ['--solvers', 'pigdm', "'ddrm'"]),
        ('--solvers=dps:1', ['--solvers', 'steps', "'dps:1'"]),
        ('--noise_std=0', ['--noise_std', 'positive', 'smc']),
        ('--noise_std=nan', ['noise_std', 'nan']),
        ('--num_draws=1', ['num_draws', '1']))),
    (restore, '--workdir={toy}', ['--measure', 'images', '(2,)']),
    (sample, '--workdir={digits} extra', ['stray', "'extra'"]),
    (sample, '--workdir={digits} --labels=3,cat', ['--labels', "'cat'"]),
    (sample, '--workdir={digits} --labels=10', ['--labels', "'10'"]),
    (sample, '--workdir={digits} --labels=', ['--labels']),
    (sample, '--workdir={digits} --sampler=plms', ['sampler', 'plms', 'ddim']),
    (sample, '--workdir={digits} --weights=best', ['weights', 'best', 'raw']),
    (sample, '--workdir={digits} --weights=ema:0.05',
     ['weights', 'ema_widths']),
    (sample, '--workdir={digits} --steps=1', ['steps', '1']),
    (sample, '--workdir={digits} --guidance=-1', ['guidance', '-1']),
    (sample, '--workdir={digits} --guidance=nan', ['guidance', 'nan']),
    (sample, '--workdir={digits} --sampler=ddim --eta=1.5', ['eta', '1.5']),
    (sample, '--workdir={digits} --churn=1', ['churn', 'dpm_solver_2m']),
    (train_diffusion, '--workdir={fresh} --preset=toy --process=flow_matching '
     '--prediction=velocity --sampler=euler_maruyama', ['sampler', 'alpha']),
    (sample, '--workdir={digits} --num_samples=0', ['num_samples', '0']),
    (sample, '--workdir={digits} --num_samples=1000000000000',
     ['num_samples', '10000000']),
    (sample, '--workdir={digits} --out={file}/x.npz', ['{file}']),
    (sample, '--workdir={digits} --out={digits}/settings.npz',
     ['--out', '{digits}/settings.json']),
    (sample, '--workdir={digits} --out={digits}', ['--out', '{digits}']),
    (sample, '--workdir=', ['workdir', 'must name a folder']),
    (train_vae, '--workdir=az://bucket/run', ['--workdir', 's3://bucket/run']),
    (train_vae, '--workdir=gs://bucket', ['--workdir', 'must name a folder']),
    (sample, '--workdir={digits} --out=s3://bucket/run', ['--out', 'mount']),
    (sample, '--workdir={digits} --out={one}', ['--out', '{one}']),
    (sample, '--workdir={toy} --guidance=2', ['--guidance', 'unconditional']),
    (sample, '--workdir={toy} --labels=1', ['--labels', 'unconditional']),
    (sample, '--workdir={toy} --out={fresh}', ['--out', '.npz', 'points']),
    (forward_reverse, '--workdir={toy} --guidance=2', ['--guidance']),
    (forward_reverse, '--workdir={digits} --labels=1', ["'labels'"]),
]

TABLE = [(train_diffusion, f'--workdir={{fresh}} {args}', said)
         for args, said in TRAIN] + RUNS


def picture(path, size=8, seed=0):
  path.parent.mkdir(exist_ok=True)
  pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3))
  Image.fromarray(pixels.astype(np.uint8)).save(path)
  return path


@pytest.fixture(scope='module')
def places(tmp_path_factory, digits_run, toy_run):
  root = tmp_path_factory.mktemp('places')
  names = ('fresh', 'missing', 'empty', 'broken', 'cut', 'text', 'one', 'same',
           'digits', 'toy', 'bare', 'samples', 'torn', 'file', 'nameless')
  at = {name: root / name for name in names}
  at['empty'].mkdir()
  for name in ('broken', 'cut', 'text', 'one'):
    picture(at[name] / 'a.png')
  data = picture(at['broken'] / 'b.png').read_bytes()
  middle = data.index(b'IDAT') + 20  # within the compressed pixels
  (at['broken'] / 'b.png').write_bytes(
      data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:])
  data = picture(at['cut'] / 'cut.png', 32).read_bytes()
  (at['cut'] / 'cut.png').write_bytes(data[:len(data) // 2])
  (at['text'] / 'note.jpg').write_text('not a picture')
  at['same'].mkdir()
  Image.new('RGB', (8, 8)).save(at['same'] / 'black.png')
  shutil.copytree(digits_run, at['digits'])
  shutil.copytree(toy_run, at['toy'])
  shutil.copytree(digits_run, at['bare'],
                  ignore=shutil.ignore_patterns('checkpoints'))
  settings = json.loads((digits_run / 'settings.json').read_text())
  settings['class_names'][3] = settings['class_names'][4]
  for name, text in (('samples', '{"workdir": "x"}'), ('torn', '{"seed": 0'),
                     ('nameless', json.dumps(settings))):
    at[name].mkdir()
    (at[name] / 'settings.json').write_text(text)
  at['file'].write_text('a file, where a folder would have to be')
  return root, {name: str(path) for name, path in at.items()}


@pytest.mark.parametrize(
    'script, args, said', TABLE,
    ids=[f'{row[0].__name__.split(".")[-1]} {row[1]}' for row in TABLE])
def test_scripts_say_what_is_wrong_in_one_line(
    run, files_of, places, monkeypatch, script, args, said):
  root, at = places
  monkeypatch.chdir(root)  # relative names, and defaults, stay below it
  before = files_of(root)
  result = run(script, *args.format(**at).split())
  assert result.code == 1
  assert script is demo or result.out == ''  # the demo says what it begins
  assert result.err.endswith('\n') and result.err.count('\n') == 1, result.err
  name = script.__name__.split('.')[-1]
  assert result.err.startswith(f'{name}: ')
  for part in said:
    assert part.format(**at) in result.err
  assert files_of(root) == before


def test_an_unprepared_set_is_answered_with_the_command_that_prepares_it(
    run, tmp_path, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  for args in (['--data=tfds:mnist'], ['--preset=cifar10']):
    result = run(train_diffusion, f'--workdir={tmp_path}/run', *args)
    assert result.code == 1
    assert result.err.count('\n') == 1
    assert 'download_and_prepare()' in result.err
    assert not (tmp_path / 'run').exists()
  result = run(train_diffusion, f'--workdir={tmp_path}/run',
               '--data=tfds:no_such_set')
  assert result.code == 1 and result.err.count('\n') == 1
  assert "'no_such_set'" in result.err


def test_a_script_run_as_a_file_says_how_it_is_run():
  path = pathlib.Path(sample.__file__)
  result = subprocess.run([sys.executable, path.name], cwd=path.parent,
                          capture_output=True, text=True, check=False)
  assert (result.returncode, result.stdout) == (1, '')
  assert result.stderr == (
      'sample: is run from the top folder, as python -m experiments.sample\n')
