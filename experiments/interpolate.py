"""Interpolates between two images by a trained VAE or diffusion model.

  python -m experiments.interpolate --workdir=runs/vae --first=3 --second=17
  python -m experiments.interpolate --workdir=runs/digits --path=pixel,slerp \\
      --first=a.png --second=b.png

Images are given by position in the run's held-out set (in its training set
where it has none), or as files of the data's size. Four paths: `pixel` mixes
the images themselves, `latent` the codes along a line, `slerp` along an arc,
`geodesic` along a path that is short when decoded. A class-conditional model
moves from class to class on the way: a VAE's decoder is told a share of each, a
diffusion model's denoisers are mixed. Written to <workdir>/interpolation are
the paths and what is measured along them, report.json and interpolation.png; an
animation, interpolation.gif; and of class-conditional runs the style of each
image in every class, and of the two in the other's, styles.png.
"""

import os
from typing import Any, Sequence

from absl import flags
import numpy as np
from PIL import Image

from experiments import app
from experiments import flags as shared
from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import image_files
from genjax.data import pipeline
from genjax.data import sources
from genjax.reports import image_sets
from genjax.reports import interpolation
from genjax.reports.draws import classes_of
from genjax.reports.interpolation import Ends
from genjax.reports.interpolation import PATHS
from genjax.reports.judge import find_judge
from genjax.reports.judge import Judge
from genjax.reports.table import as_text
from genjax.runs.data import reopen_data
from genjax.runs.open import open_run
from genjax.runs.task import Run
from genjax.types import Source


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder of the trained run.')
  flags.DEFINE_string('first', '3', 'First image: its position in the test '
                      'data, or a PNG or JPEG file.')
  flags.DEFINE_string('second', '17', 'Second image: its position in the test '
                      'data, or a PNG or JPEG file.')
  flags.DEFINE_list('path', list(PATHS),
                    f'Paths between them: of {", ".join(PATHS)}.')
  flags.DEFINE_integer('num_points', 17, 'Number of images on a path, '
                       'both ends included; its length wants 9 or more.',
                       lower_bound=9, upper_bound=10**4)
  flags.DEFINE_integer('descent', None, 'Number of steps that shorten a '
                       'geodesic; of a diffusion model one takes seconds.',
                       lower_bound=1, upper_bound=10**6)
  flags.DEFINE_string('classifier', None, 'Workdir of train_classifier, whose '
                      'features are used; absent, one is trained.')


def open_coder(workdir: str) -> Run:
  """The run in `workdir`, which encodes and decodes images.

  Raises:
    ValueError: it does not, or there is none.
  """
  run = open_run(workdir)
  check(run.encode is not None and run.decode is not None, 'workdir', 'must be '
        'the folder of a run that encodes and decodes, of train_vae or '
        'train_diffusion', f'a {run.task.kind} in {workdir!r}')
  check(len(run.settings.shape) == 3, 'workdir', 'must be a run on images',
        f'{run.settings.data!r} of shape {run.settings.shape}')
  return run


def read_image(name: str, value: str, source: Source) -> dict[str, Any]:
  """The image that a flag names: an item of `source`, without label of a file.

  Raises:
    ValueError: no such position or file, or not of the size of the data.
  """
  height, width, channels = sources.describe(source).shape
  if value.removeprefix('-').isdecimal():
    check(0 <= int(value) < len(source), name,
          f'must be a position below {len(source)} or a file', value)
    return dict(source[int(value)])
  check(os.path.isfile(value) and sources.scale_of(source) is None, name,
        'must be a position or, of pixels of 8 bits, an image file',
        repr(value))
  try:
    with Image.open(value) as image:
      size = image.size
      pixels = image_files.fit(image, (height, width), channels)
  except Exception as error:  # of almost any type, on what is half an image
    raise ValueError(f'{name}: {value!r} must be a PNG or JPEG file, got '
                     'another or a torn one') from error
  check(size == (width, height), name, f'{value!r} must be {width} x {height} '
        'pixels like the data', f'{size[0]} x {size[1]}')
  return {'image': pixels}


def read_ends(items: Sequence[dict[str, Any]], judge: Judge | None) -> Ends:
  """Both images; the class of one without label is what the judge says."""
  x = np.stack([item['x'] if 'x' in item else pipeline.to_model_range(
      item['image']) for item in items])
  if judge is None:
    return Ends(x, None)
  label = np.array([item.get('label', class_) for item, class_ in zip(
      items, judge.said(x))])
  check(bool((label >= 0).all()), 'classifier',
        'must say a class of each image', 'NaN')
  return Ends(x, label)


def main() -> None:
  values = flags.FLAGS
  names = list(dict.fromkeys(values.path))
  check(bool(names), 'path', f'must name some of {", ".join(PATHS)}', "''")
  for name in names:
    check_choice('path', 'each', name, PATHS)
  run = open_coder(values.workdir)
  settings = run.settings
  check(bool(settings.class_names) or values.classifier is None, 'classifier',
        'must be absent for data without classes', values.classifier)
  data = reopen_data(values.workdir, run)
  source = data.train if data.test is None else data.test
  given = {'first': values.first, 'second': values.second}
  items = [read_image(name, value, source) for name, value in given.items()]
  judge = find_judge(
      values.classifier, data,
      {**image_sets.data_of(settings), 'seed': values.seed},
      values.workdir, print) if settings.class_names else None
  ends = read_ends(items, judge if classes_of(settings) else None)
  table, written = interpolation.report(
      run, data, judge, ends, os.path.join(values.workdir, 'interpolation'),
      names=names, num_points=values.num_points, num_steps=values.descent,
      seed=values.seed, about=given)
  if judge is not None and values.classifier is None:
    written.append(os.path.join(values.workdir, 'classifier'))
  print(f'{as_text(table)}\n\nmean (worst) along the way; real: test images; '
        f'log-density: {run.density or "none"}; wrote {", ".join(written)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
