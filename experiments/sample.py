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

from experiments import app
from experiments import common
from experiments import diffusion_run
from genjax.checks import check
from genjax.data import pipeline
from genjax.data import sample_files


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
  check(names is None or num_classes is not None, 'labels',
        'must be absent for an unconditional model', names)
  if num_classes is None:
    return None
  check(names is None or bool(names), 'labels', 'must name a class', names)
  if not names:
    return np.resize(np.arange(num_classes), num_samples)
  chosen = sample_files.class_numbers(names, settings['class_names'])
  for name, number in zip(names, chosen):
    check(number is not None and number < num_classes, 'labels', 'must be '
          f'names of classes or, where no name is the number of another class, '
          f'numbers below {num_classes}', repr(name))
  return np.resize(np.asarray(chosen, np.int64), num_samples)


def check_out(out: str, flat: bool) -> None:
  """Raises ValueError unless samples can go to `out` and stand there alone."""
  if out.endswith('.npz'):
    beside = f'{out[:-4]}.json'
    check(os.path.exists(out) or not os.path.exists(beside), 'out',
          f'must be called otherwise: its flags would replace {beside!r}',
          repr(out))
    return
  check(not flat, 'out', 'must end in .npz for points', repr(out))
  # Pictures of an earlier call would be taken for samples of this one.
  check(not (os.path.isdir(out) and os.listdir(out)), 'out',
        'must be a new or an empty folder, or an .npz file', repr(out))


def write_samples(
    out: str, x: np.ndarray, label: np.ndarray | None,
    class_names: Sequence[str], used: dict[str, Any]
) -> None:
  """Writes samples, see `sample_files.write_samples`, and the flags used."""
  sample_files.write_samples(out, x, label, class_names)
  common.write_json(f'{out[:-4]}.json' if out.endswith('.npz')
                    else os.path.join(out, 'flags.json'), used)


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
  app.run(main)
