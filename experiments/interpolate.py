"""Interpolates between two images by a trained VAE or diffusion model.

  python -m experiments.interpolate --workdir=runs/vae --first=3 --second=17
  python -m experiments.interpolate --workdir=runs/digits --path=pixel,slerp \
      --first=a.png --second=b.png

Images are given by position in the run's held-out set (in its training set
where it has none), or as files of the data's size. Four paths: `pixel` mixes
the images themselves, `latent` the codes along a line, `slerp` along an arc,
`geodesic` along a path that is short when decoded. A class-conditional model
moves from class to class on the way: of a VAE's decoder the label is a share of
both, of a diffusion model the denoisers are mixed. Written are the paths and
what is measured along them, figures/interpolation.png and interpolation.json,
an animation, figures/interpolation.gif, and of class-conditional runs the style
of each image in every class, and of the two in the other's, figures/styles.png.
"""

import functools
import os
from typing import Any, Callable, Mapping, NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments import app
from experiments import codecs
from experiments import flags as shared
from experiments import path_measures
from genjax import interpolation
from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import folder
from genjax.data import pipeline
from genjax.data.sources import describe
from genjax.reports import image_sets
from genjax.reports import judge as judges
from genjax.runs import keys
from genjax.runs.data import reopen_data
from genjax.runs.workdir import write_json
from genjax.types import Array
from genjax.types import Source
from genjax.viz.figures import plain
from genjax.viz.paths import save_styles

_MOST = 10_000  # training images among which the nearest is looked for
_REAL = 100  # held-out images that say what is usual of real ones
_STYLES = 4  # images, beside the two, whose styles are drawn


class Ends(NamedTuple):
  """The two images, and their classes where these are known."""

  x: np.ndarray  # float32 [2, H, W, C] in [-1, 1]
  label: np.ndarray | None  # int [2]


# (decode, codes [2, ...], shares [T], steps of a descent) -> codes [T, ...];
# decode is of T codes at these shares.
CODE_PATHS: Mapping[str, Callable[..., Array]] = {
    'latent': lambda decode, z, t, steps: interpolation.lerp(z[0], z[1], t),
    'slerp': lambda decode, z, t, steps: interpolation.slerp(z[0], z[1], t),
    'geodesic': lambda decode, z, t, steps: interpolation.geodesic(
        decode, z[0], z[1], num_points=len(t), num_steps=steps),
}
PATHS = ('pixel', *CODE_PATHS)


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder of the trained run.')
  flags.DEFINE_string('first', '3', 'First image: its position in the test '
                      'data, or a PNG or JPEG file.')
  flags.DEFINE_string('second', '17', 'Second image, likewise.')
  flags.DEFINE_list('path', list(PATHS),
                    f'Paths between them: of {", ".join(PATHS)}.')
  flags.DEFINE_integer('num_points', 17, 'Images on a path, both ends '
                       'included; of fewer than 9 the length says little.',
                       lower_bound=9)
  flags.DEFINE_integer('descent', None, 'Steps that shorten a geodesic; of a '
                       'diffusion model each takes a second or two.',
                       lower_bound=1)
  flags.DEFINE_string('classifier', None, 'Workdir of train_classifier, whose '
                      'features are used; absent, one is trained.')


def read_image(name: str, value: str, source: Source) -> dict[str, Any]:
  """The image that a flag names: an item of `source`, without label of a file.

  Raises:
    ValueError: no such position or file, or not of the size of the data.
  """
  height, width, channels = describe(source).shape
  if value.removeprefix('-').isdecimal():
    check(0 <= int(value) < len(source), name,
          f'must be a position below {len(source)} or a file', value)
    return dict(source[int(value)])
  check(os.path.isfile(value), name, 'must be a position or an image '
        'file', repr(value))
  check(height == width, name, 'must be a position: the data are not '
        'square', f'{width} x {height}')
  try:
    with Image.open(value) as image:
      size = image.size
      pixels = folder.square(image, width, channels)
  except Exception as error:  # of almost any type, on what is half an image
    raise ValueError(f'{name}: {value!r} must be a PNG or JPEG file, got '
                     'another or a torn one') from error
  check(size == (width, height), name,
        f'{value!r} must be {width} x {height} pixels like the data',
        f'{size[0]} x {size[1]}')
  return {'image': pixels}


def read_ends(
    items: list[dict[str, Any]], judge: judges.Judge | None,
    num_classes: int | None
) -> Ends:
  """Both images; the class of one without label is what the judge says."""
  x = pipeline.to_model_range(np.stack([item['image'] for item in items]))
  if num_classes is None or judge is None:
    return Ends(x, None)
  label = np.array([item.get('label', class_) for item, class_ in zip(
      items, judge.said(x))])
  check(bool((label >= 0).all()), 'classifier',
        'must say a class of each image', 'NaN')
  return Ends(x, label)


def find_paths(
    codec: codecs.Codec, ends: Ends, names: list[str], num_points: int,
    descent: int
) -> dict[str, np.ndarray]:
  """Images [T, H, W, C] along each path; decoded ends are reconstructions."""
  t = jnp.linspace(0.0, 1.0, num_points)
  label = None if ends.label is None else jnp.asarray(ends.label)
  classes = None if label is None else codecs.Classes(
      jnp.full(num_points, label[0]), jnp.full(num_points, label[1]), t)
  z = jax.jit(codec.encode)(codec.run.params, ends.x, label)

  @functools.partial(jax.jit, static_argnums=0)
  def along(name, params, z):
    decode = lambda codes: codec.decode(params, codes, classes)
    return decode(CODE_PATHS[name](decode, z, t, descent))

  first, second = ends.x
  return {name: np.asarray(
      interpolation.lerp(first, second, t) if name == 'pixel'
      else along(name, codec.run.params, z)) for name in names}


def in_every_class(
    codec: codecs.Codec, x: np.ndarray, label: np.ndarray, num_classes: int
) -> np.ndarray:
  """Images of the codes of x [R, H, W, C] in every class: [R, K, H, W, C]."""
  rows = len(x)
  every = jnp.tile(jnp.arange(num_classes), rows)

  @jax.jit
  def styles(params, x, label):
    z = jnp.repeat(codec.encode(params, x, label), num_classes, axis=0)
    return codec.decode(params, z, codecs.Classes(
        every, every, jnp.zeros(len(every))))

  found = styles(codec.run.params, x, jnp.asarray(label))
  return np.asarray(found).reshape(rows, num_classes, *x.shape[1:])


def draw_styles(
    path: str, codec: codecs.Codec, x: np.ndarray, label: np.ndarray
) -> None:
  """Writes images x [R, H, W, C] in every class, and the first two swapped."""
  names = [plain(name) for name in codec.run.settings.class_names]
  styles = pipeline.to_uint8(in_every_class(codec, x, label, len(names)))
  save_styles(path, styles, pipeline.to_uint8(x), [names[i] for i in label],
              names)


def main() -> None:
  values = flags.FLAGS
  names = list(dict.fromkeys(values.path))
  check(bool(names), 'path', f'must name some of {", ".join(PATHS)}', "''")
  for name in names:
    check_choice('path', 'each', name, PATHS)
  codec = codecs.open_codec(values.workdir)
  settings = codec.run.settings
  check(bool(settings.class_names) or values.classifier is None,
        'classifier', 'must be absent for data without classes',
        values.classifier)
  data = reopen_data(values.workdir, codec.run)
  source = data.train if data.test is None else data.test
  items = [read_image('first', values.first, source),
           read_image('second', values.second, source)]
  judge = judges.find_judge(
      values.classifier, data,
      {**image_sets.data_of(settings), 'seed': values.seed},
      values.workdir, print) if settings.class_names else None
  ends = read_ends(items, judge, codec.num_classes)

  found = find_paths(codec, ends, names, values.num_points,
                     values.descent or codec.descent)
  key = keys.key(values.seed, 'figure')
  log_prob = codec.log_prob and functools.partial(
      jax.jit(codec.log_prob), codec.run.params, key)
  train, real = (image_sets.read(part, most, values.seed) for part, most in (
      (data.train, _MOST), (source, _REAL)))
  measure = path_measures.make_measure(
      train.x, judge and judge.features, log_prob)
  measured = {name: measure(x) for name, x in found.items()}
  # Of a training image the nearest is the image itself.
  usual = None if data.test is None else measure(real.x)
  rows = {name: path_measures.as_json(m) for name, m in measured.items()}
  if usual is not None:
    rows['real'] = path_measures.as_json(usual) | dict.fromkeys(
        ('pixel_length', 'feature_length'))

  write_json(os.path.join(values.workdir, 'interpolation.json'), {
      'step': codec.run.step, 'seed': values.seed, 'first': values.first,
      'second': values.second, 'num_points': values.num_points,
      'labels': None if ends.label is None else ends.label.tolist(),
      'pixels': 'in [-1, 1]', 'num_train': len(train.x),
      'extractor': judge and judge.extractor, 'density': codec.density,
      'paths': {name: rows[name] for name in names},
      'real': rows.get('real')})
  figures = os.path.join(values.workdir, 'figures')
  written = path_measures.draw_paths(figures, found, measured, usual)
  if ends.label is not None:
    written.append(os.path.join(figures, 'styles.png'))
    draw_styles(written[-1], codec,
                np.concatenate([ends.x, real.x[:_STYLES]]),
                np.concatenate([ends.label, real.label[:_STYLES]]))
  print(f'{path_measures.table_of(rows)}\n\n'
        'mean (worst) along the way; real: test images; log-density: '
        f'{codec.density or "none"}; wrote {", ".join(written)} and '
        'interpolation.json')


if __name__ == '__main__':
  define_flags()
  app.run(main)
