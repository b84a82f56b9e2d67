"""Draws samples from a trained model.

  python -m experiments.sample --workdir=runs/digits --labels=3,7 \\
      --num_samples=100 --out=samples.npz

An .npz holds `arr_0`, uint8 [N, H, W, C] (float32 [N, D] for points; where the
data are of another type, numbers of that type in the range of the data), and
`arr_1`, int64 labels [N] where the model has classes: the format that tools
for FID read. Another name is a folder of PNG files, one sub-folder a class,
called like it (what no folder can be called is written as in URLs). Of data
that are not of 8 bits they are for looking: brightness is that of the data's
range, but for grey uint16, which are written as they are.
The flags used are stored beside the samples. Where training kept a classifier
of the run's own classes, a line says how often it recognises those asked for.
"""

import os
from typing import Any, Sequence

from absl import flags as absl_flags
import numpy as np

from experiments import app
from experiments import drawing
from experiments import flags
from genjax.checks import check
from genjax.data import sample_files
from genjax.data import scaled
from genjax.files import write_json
from genjax.reports import recognition
from genjax.reports.draws import classes_of
from genjax.reports.draws import draw
from genjax.reports.draws import numbers_of
from genjax.reports.draws import sampler_of
from genjax.reports.pictures import pictures
from genjax.runs.data import scale_of
from genjax.runs.workdir import check_output


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the trained run.')
  drawing.define_flags()
  absl_flags.DEFINE_integer('num_samples', 100, 'Number of samples to '
                            'draw.', lower_bound=1, upper_bound=10**7)
  absl_flags.DEFINE_list('labels', None, 'Classes to draw in turn, by number '
                         'or name, with commas between; all where absent.')
  absl_flags.DEFINE_list('vector', None, 'Numbers to draw under, with commas '
                         'between, one for each column of numbers in the table '
                         'that the run was told (--labels=csv:<path> in '
                         'training); their means where absent.')
  absl_flags.DEFINE_string('out', None, 'An .npz file or a folder of PNG '
                           'files; samples.npz in the workdir where absent.')


def parse_labels(
    classes: Sequence[str], names: list[str] | None, num_samples: int
) -> np.ndarray | None:
  """Labels [N] in turn, of `names` or of all classes; None without classes.

  Raises:
    ValueError: an unknown class, or classes of an unconditional model.
  """
  check(names is None or bool(classes), 'labels',
        'must be absent for an unconditional model', names)
  if not classes:
    return None
  check(names is None or bool(names), 'labels', 'must name a class', names)
  if not names:
    return np.resize(np.arange(len(classes)), num_samples)
  chosen = sample_files.class_numbers(names, classes)
  for name, number in zip(names, chosen):
    check(number is not None and number < len(classes), 'labels', 'must be '
          f'names of classes or, where no name is the number of another class, '
          f'numbers below {len(classes)}', repr(name))
  return np.resize(np.asarray(chosen, np.int64), num_samples)


def parse_vector(
    names: Sequence[str], words: list[str] | None
) -> list[float] | None:
  """A number for each of the names that a run is told; None for their means.

  Raises:
    ValueError: anything else, or a run that is told none.
  """
  if words is None:
    return None
  check(bool(names), 'vector', 'must be absent for a model that is told no '
        'numbers', ','.join(words))
  return flags.numbers('vector', words, len(names))


def check_out(out: str, flat: bool) -> None:
  """Raises ValueError unless samples can go to `out` and stand there alone."""
  if out.endswith('.npz'):
    beside = f'{out[:-4]}.json'
    check(os.path.exists(out) or not os.path.exists(beside), 'out',
          f'must be called otherwise: its flags would replace {beside!r}',
          repr(out))
    return
  check(not flat, 'out', 'must end in .npz for points and signals', repr(out))
  # Pictures of an earlier call would be taken for samples of this one.
  check(not (os.path.isdir(out) and os.listdir(out)), 'out',
        'must be a new or an empty folder, or an .npz file', repr(out))


def write_samples(
    out: str, x: np.ndarray, label: np.ndarray | None,
    class_names: Sequence[str], used: dict[str, Any]
) -> str:
  """Writes samples and the flags used; returns the path of these."""
  sample_files.write_samples(out, x, label, class_names)
  path = (f'{out[:-4]}.json' if out.endswith('.npz')
          else os.path.join(out, 'flags.json'))
  write_json(path, used)
  return path


def main() -> None:
  values = absl_flags.FLAGS
  run = drawing.opened()
  sampler_of('workdir', run)  # before anything else is said
  num, classes = values.num_samples, classes_of(run.settings)
  label = parse_labels(classes, values.labels, num)
  vector = parse_vector(numbers_of(run.settings), values.vector)
  out = values.out or os.path.join(values.workdir, 'samples.npz')
  check_output(out)
  check_out(out, flat=len(run.settings.shape) < 3)
  x = draw('workdir', run, num, label, values.seed, vector)
  scale, written, said = scale_of(run.settings), x, ''
  if scale is not None and not (out.endswith('.npz') or (
      scale.type == 'uint16' and x.shape[-1] == 1)):
    written = pictures(scaled.to_model(scale, x), x.shape[1:])
    said = ', at 8 bits for looking: an .npz file would hold them as they are'
  replaced = ', in place of earlier ones' if os.path.isfile(out) else ''
  beside = write_samples(out, written, label, classes, {
      **drawing.drawn_by(run), 'num_samples': num, 'labels': values.labels,
      **({} if vector is None else {'vector': vector})})
  print(f'wrote {num} samples to {out}, their flags to {beside}'
        f'{replaced}{said}')
  heeded = recognition.recognised(run.settings, values.workdir, x, label)
  if heeded is not None:
    print(heeded)


if __name__ == '__main__':
  define_flags()
  app.run(main)
