"""A study: how alike diffusion models of disjoint halves of the data become."""

import dataclasses
import glob
import os
from typing import Callable, Mapping, Sequence

import numpy as np

from genjax.checks import check
from genjax.data import pipeline
from genjax.data import sample_files
from genjax.data import sources
from genjax.files import write_json
from genjax.metrics.generalisation import generalisation
from genjax.metrics.generalisation import Generalisation
from genjax.metrics.generalisation import most_similar
from genjax.reports import image_sets
from genjax.reports.draws import told
from genjax.reports.generalise_models import Make
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import diffusion_settings
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.diffusion_choice import begun
from genjax.runs.diffusion_choice import resolve
from genjax.runs.settings import setting
from genjax.types import Source
from genjax.viz import figures
from genjax.viz import panels
from genjax.viz.sample_pairs import save_sample_pairs

SIDES = ('a', 'b')  # the halves, and the models trained on them
_SHOWN = 16  # noises of each size in the figure
_MOST = 10_000  # images of which the mean picture is taken
_STREAM = 5  # of the order in which images are divided

# Field of `Generalisation` -> how the figure draws it, and what it is called:
# what is measured, and in its colour what it is compared with.
_CURVES = {
    'same_noise': ('marked', figures.BLUE,
                   'samples of A and B from the same noise'),
    'copies': ('dashed', figures.BLUE, 'the same of models that only copy'),
    'nearest': ('marked', figures.ORANGE,
                'samples and their most similar training image'),
    'fresh': ('dashed', figures.ORANGE,
              'images of half B and the most similar of half A'),
    'other_noise': ('dashed', figures.GREY,
                    'samples of A and B from different noise'),
}


@dataclasses.dataclass(frozen=True)
class Settings:
  """Settings of a study of models of disjoint halves."""

  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  conditional: bool = setting(False, help='Whether the models are told the '
                              'class of an image, where there are classes; '
                              'samples of one class are alike by that alone.')
  sizes: tuple[int, ...] = setting(
      (20, 60, 200, 700), low=2, high=10**7, lengths=(1, 12), distinct=True,
      free=True, help='Numbers of training images of each of the two models, '
      'such as 20,60; others may be added later.')
  num_samples: int = setting(200, low=4, high=10**5, help='Number of '
                             'samples that each model draws; must be even.')
  steps: int | None = setting(None, low=1, high=10**9, help='Training steps of '
                              "each model; absent, the recipe's.")
  # Of each seed come two, one a model.
  seed: int = fields.seed(high=2**30 - 1)


def open_study(
    settings: Settings, workdir: str
) -> tuple[diffusion_settings.Settings, Source, np.ndarray]:
  """The recipe of all models, the images, and their halves; writes nothing.

  Raises:
    ValueError: data that cannot be read or are no images, an odd number of
      samples, or a size of which there are no two halves.
  """
  check(settings.num_samples % 2 == 0, 'num_samples', 'must be even',
        settings.num_samples)
  chosen = image_sets.data_of(settings) | {
      'conditional': settings.conditional,
      'sampler': 'dpm_solver_2m'}  # which draws no noise of its own
  if settings.steps is not None:
    chosen['steps'] = settings.steps
  # What was chosen by the device that the study began on stays.
  before = next(filter(None, map(begun, glob.glob(os.path.join(
      glob.escape(workdir), 'n_*', '[ab]')))), None)
  recipe, data, _ = resolve(None, chosen, before)
  check(len(recipe.shape) == 3 and not recipe.value_range, 'data', 'must be '
        'images of 8 bits',
        f'{settings.data!r} of shape {recipe.shape}')
  return recipe, data.train, divide(data.train, settings.sizes, settings.seed)


def divide(source: Source, sizes: Sequence[int], seed: int) -> np.ndarray:
  """Two disjoint halves of a source, int [2, P], of as many of each class.

  The first n of both are of the same classes, in about the shares of all.

  Args:
    source: the images.
    sizes: numbers n that are asked for.
    seed: of the division.

  Raises:
    ValueError: a size of which there are no two halves.
  """
  order = sources.permutation(len(source), seed, _STREAM)
  label = sources.labels_of(source)
  label = np.zeros(len(source), int) if label is None else label
  pairs, places = [], []
  for c in np.unique(label):
    rows = order[label[order] == c]
    rows = rows[:len(rows) // 2 * 2].reshape(-1, 2)
    pairs.append(rows)
    places.append((np.arange(len(rows)) + 0.5) / max(1, len(rows)))
  found = np.concatenate(pairs)[np.argsort(np.concatenate(places),
                                           kind='stable')].T
  check(max(sizes) <= found.shape[1], 'sizes', f'must be at most '
        f'{found.shape[1]}, of which there are two disjoint halves',
        max(sizes))
  return found


def draw(
    make: Make, parts: Sequence[Source], label: np.ndarray | None,
    folders: Sequence[str], name: str, settings: Settings
) -> list[np.ndarray]:
  """Samples of both models from the same noise, each uint8 [N, H, W, C].

  Those that were drawn before are read.

  Args:
    make: how models are made.
    parts: what each is made of.
    label: int [N] that both are told; None of models that are told none.
    folders: where the samples of each are kept.
    name: of the file there.
    settings: of the study, which say the seed of the noise and N.
  """
  found, num = [], settings.num_samples
  for side, (source, folder) in enumerate(zip(parts, folders)):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
      x = make(source, folder, 2 * settings.seed + side)(
          keys.key(settings.seed, 'sample'), (num,), told(label))
      sample_files.write_samples(path, pipeline.to_uint8(np.asarray(x)), label,
                                 sources.class_names(source))
    found.append(sources.columns_of(sample_files.read_samples(
        path, sources.describe(source)), np.arange(num))['image'])
  return found


def labels_for(source: Source, num: int) -> np.ndarray | None:
  """Classes of the first images, each twice, in turn: int32 [num]."""
  label = sources.labels_of(sources.subset(source, np.arange(
      min(len(source), num // 2))))
  return label if label is None else np.repeat(
      np.resize(label, num // 2), 2).astype(np.int32)


def study(
    settings: Settings, train: Make, copy: Make, source: Source,
    halves: np.ndarray, workdir: str, say: Callable[[str], None]
) -> dict[int, tuple[Generalisation, np.ndarray]]:
  """n -> likeness, and pictures uint8 [4, P, H, W, C] to show, for each size.

  The pictures are some samples of A and of B from the same noise, with the most
  similar training image of each: image, A, B, image.

  Args:
    settings: of the study.
    train: how models are trained.
    copy: makes models that copy.
    source: the images.
    halves: of them, int [2, P], see `divide`.
    workdir: of the study; what was drawn before is read.
    say: is told each result, in a line.
  """
  mean = image_sets.read(source, _MOST, settings.seed).x.mean(0)
  found = {}
  for size in sorted(settings.sizes):
    parts = [sources.subset(source, rows[:size]) for rows in halves]
    label = (labels_for(parts[0], settings.num_samples)
             if settings.conditional else None)
    folders = [os.path.join(workdir, f'n_{size}', side) for side in SIDES]
    images, copied = (
        draw(make, parts, label, folders, f'{name}.npz', settings)
        for name, make in (('samples', train), ('copies', copy)))
    samples, copies = ([pipeline.to_model_range(image) for image in of_model]
                       for of_model in (images, copied))
    sets = [pipeline.full_batch(part)['x'] for part in parts]
    likeness = generalisation(samples, copies, sets, mean)
    shown = np.s_[:2 * _SHOWN:2]  # one of the two that are told the same
    near = [pipeline.to_uint8(own[most_similar(x[shown], own, mean)[1]])
            for x, own in zip(samples, sets)]
    found[size] = likeness, np.stack(
        [near[0], images[0][shown], images[1][shown], near[1]])
    say(f'{size} images each: ' + ', '.join(
        f'{name} {value.value:.3f}'
        for name, value in likeness._asdict().items()))
  return found


def verdicts(found: Mapping[int, Generalisation]) -> list[str]:
  """What the intervals say, a line each, with the sizes of which it holds."""
  said = {
      'samples are more like a training image than fresh images are':
          lambda g: g.nearest.low > g.fresh.high,
      'samples are less like any training image than fresh images are, as '
      'those of models that have learnt too little are':
          lambda g: g.nearest.high < g.fresh.low,
      'the two models agree more from the same noise than models that only '
      'copy': lambda g: g.same_noise.low > g.copies.high,
      'samples of the two models are more like each other than like their '
      'training images': lambda g: g.same_noise.low > g.nearest.high}
  return [f'{line}: ' + (', '.join(
      str(size) for size, likeness in found.items() if holds(likeness))
                         or 'at no size') for line, holds in said.items()]


def report(
    settings: Settings, train: Make, copy: Make, source: Source,
    halves: np.ndarray, workdir: str, say: Callable[[str], None]
) -> tuple[Table, list[str]]:
  """Runs or finishes the study; writes report.json and a figure.

  Args: as of `study`.

  Returns:
    A table with a row for every size, and the verdicts.
  """
  found = study(settings, train, copy, source, halves, workdir, say)
  likeness = {size: pair[0] for size, pair in found.items()}
  table = make_table(
      [Column('size', 'images each'),
       *(Column(name, name.replace('_', ' '), '.3f')
         for name in Generalisation._fields)],
      [(size, *row) for size, row in likeness.items()])
  lines = verdicts(likeness)
  write_json(os.path.join(workdir, 'report.json'),
             {'similarity': records(table), 'verdicts': lines})
  save_figure(os.path.join(workdir, 'figures', 'generalise.png'), settings,
              found)
  return table, lines


def save_figure(
    path: str, settings: Settings,
    found: Mapping[int, tuple[Generalisation, np.ndarray]]
) -> None:
  """Writes the pictures of each size, and the similarities over the sizes."""
  size, layers = np.array(list(found)), []
  for name, (kind, color, label) in _CURVES.items():
    value, low, high = np.transpose([
        getattr(likeness, name) for likeness, _ in found.values()])
    layers += [panels.Layer('band', size, np.stack([low, high]), color=color),
               panels.Layer(kind, size, value, label, color)]
  save_sample_pairs(
      path, {f'{n} training images each': pictures
             for n, (_, pictures) in found.items()},
      ('most similar in A', 'sample of A', 'sample of B', 'most similar in B'),
      panels.Panel(
          f'{figures.plain(settings.data)}: mean similarity of pictures',
          'training images of each model', 'cosine about the mean picture',
          layers, log='x', legend_below=True), list(found))
