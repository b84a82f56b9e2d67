"""Draws samples from a trained diffusion model.

  python -m experiments.sample --workdir=runs/digits --labels=3,7 \
      --num_samples=100 --out=samples.npz

An .npz holds `arr_0`, uint8 [N, H, W, C] (float32 [N, D] for points), and
`arr_1`, int64 labels [N] where the model has classes: the format that tools
for FID read. Another name is a folder of PNG files, one sub-folder a class,
called like it (what no folder can be called is written as in URLs).
The flags used are stored beside the samples.
"""

import os
from typing import Any, Sequence

from absl import flags
import numpy as np
from PIL import Image

from experiments import common
from experiments import diffusion_run
from experiments import sample_files
from genjax.checks import check
from genjax.data import folder_names
from genjax.data import pipeline


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('folder of the trained run')
  diffusion_run.define_sampling_flags()
  flags.DEFINE_integer('num_samples', 100, 'how many', lower_bound=1)
  flags.DEFINE_list('labels', None, 'classes to draw in turn, by number or '
                    'name; all where absent')
  flags.DEFINE_integer('batch_size', 100, 'drawn at a time; no effect on the '
                       'samples', lower_bound=1)
  flags.DEFINE_string('out', None, 'an .npz file or a folder of PNG files; '
                      'samples.npz in the workdir where absent')


def parse_labels(
    settings: dict[str, Any], names: list[str] | None, num_samples: int
) -> np.ndarray | None:
  """Labels [N] in turn, of `names` or of all classes; None without classes.

  Raises:
    ValueError: an unknown class, or classes of an unconditional model.
  """
  num_classes = settings['num_classes']
  check(names is None or num_classes is not None, '--labels',
        'must be absent for an unconditional model', names)
  if num_classes is None:
    return None
  check(names is None or bool(names), '--labels', 'must name a class', names)
  if not names:
    return np.resize(np.arange(num_classes), num_samples)
  chosen = sample_files.class_numbers(names, settings['class_names'])
  for name, number in zip(names, chosen):
    check(number is not None and number < num_classes, '--labels', 'must be '
          f'names of classes or, where no name is the number of another class, '
          f'numbers below {num_classes}', repr(name))
  return np.resize(np.asarray(chosen, np.int64), num_samples)


def check_out(out: str, flat: bool) -> None:
  """Raises ValueError unless samples can go to `out` and stand there alone."""
  if out.endswith('.npz'):
    beside = f'{out[:-4]}.json'
    check(os.path.exists(out) or not os.path.exists(beside), '--out',
          f'must be called otherwise: its flags would replace {beside!r}',
          repr(out))
    return
  check(not flat, '--out', 'must end in .npz for points', repr(out))
  # Pictures of an earlier call would be taken for samples of this one.
  check(not (os.path.isdir(out) and os.listdir(out)), '--out',
        'must be a new or an empty folder, or an .npz file', repr(out))


def write_samples(
    out: str, x: np.ndarray, label: np.ndarray | None,
    class_names: Sequence[str], used: dict[str, Any]
) -> None:
  """Writes images uint8 [N, H, W, C] or points [N, D], and the flags used.

  In a folder of pictures the sub-folders are called like the classes, as
  `genjax.data.folder_names` writes it: nothing is written elsewhere, whatever
  the names.

  Raises:
    ValueError: labels without a name, or names that a folder cannot tell
      apart.
  """
  if out.endswith('.npz'):
    arrays = [x] if label is None else [x, np.asarray(label, np.int64)]
    os.makedirs(os.path.dirname(out) or '.', exist_ok=True)
    partial = f'{out[:-4]}.partial.npz'
    np.savez(partial, *arrays)
    os.replace(partial, out)
    common.write_json(f'{out[:-4]}.json', used)
    return
  os.makedirs(out, exist_ok=True)
  folders = {} if label is None else class_folders(out, label, class_names)
  for number, image in enumerate(x):
    folder = out if label is None else folders[int(label[number])]
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.save(os.path.join(folder, f'{number:06d}.png'))
  common.write_json(os.path.join(out, 'flags.json'), used)


def class_folders(
    out: str, label: np.ndarray, class_names: Sequence[str]
) -> dict[int, str]:
  """Makes the folder of every class in `label`, directly below `out`.

  Raises:
    ValueError: see `write_samples`.
  """
  classes = np.unique(label).tolist()
  check(len(set(class_names)) == len(class_names), '--out',
        'classes must have different names', list(class_names))
  check(not classes or 0 <= classes[0] and classes[-1] < len(class_names),
        '--out', f'labels must be in [0, {len(class_names)})', classes)
  folders = {
      k: os.path.join(out, folder_names.to_folder(class_names[k]))
      for k in classes}
  for folder in folders.values():
    os.makedirs(folder, exist_ok=True)
  # Not so where a file system takes "A" for "a".
  apart = {(s.st_dev, s.st_ino) for s in map(os.stat, folders.values())}
  check(len(apart) == len(folders), '--out', 'must be an .npz file where the '
        'file system takes names of classes for one', list(folders.values()))
  return folders


def main() -> None:
  values = flags.FLAGS
  settings = common.read_settings(values.workdir)
  label = parse_labels(settings, values.labels, values.num_samples)
  out = values.out or os.path.join(values.workdir, 'samples.npz')
  check_out(out, flat=len(settings['shape']) == 1)
  generator, params, used = diffusion_run.generator_from_flags(
      values.workdir, batch_size=min(values.batch_size, values.num_samples))
  x = diffusion_run.generate(
      generator, params, common.root_key(values.seed, 'sample'),
      values.num_samples, label, used['guidance'])
  used |= {'num_samples': values.num_samples, 'labels': values.labels}
  replaced = ', in place of earlier ones' if os.path.isfile(out) else ''
  write_samples(out, pipeline.to_uint8(x) if x.ndim == 4 else x, label,
                settings['class_names'], used)
  print(f'wrote {values.num_samples} samples to {out}{replaced}')


if __name__ == '__main__':
  define_flags()
  common.run(main)
