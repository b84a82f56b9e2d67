"""A study: what mixup and a VAE's samples add to a few labelled images."""

import dataclasses
import itertools
import os
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.files import read_json
from genjax.files import write_json
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean
from genjax.reports import augmentation_arms
from genjax.reports import image_sets
from genjax.reports.image_sets import Images
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import fields
from genjax.runs import vae_settings
from genjax.runs.classifier_data import settings_for
from genjax.runs.settings import setting
from genjax.viz import figures
from genjax.viz import panels

_MOST = 50_000  # images of a set that are read

_BETA = 4.0  # weight of the KL in the VAE's loss

COLORS = {'alone': figures.GREY, 'mixup': figures.ORANGE, 'VAE': figures.BLUE}
_DODGE = 0.008  # of the axis, between arms: intervals do not cover others


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of the study."""

  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  held_out: float | None = fields.held_out()
  labels: str = fields.labels()
  cache: float = fields.cache()
  per_class: tuple[int, ...] = setting(
      (10, 20, 50, 100), low=1, high=10**6, lengths=(1, 100), help='Numbers of '
      'real images of a class to train on, such as 10,20.')
  num_seeds: int = setting(10, low=2, high=10**6, help='Number of seeds, for '
                           'each of which everything is drawn anew.')
  steps: int = setting(600, low=1, high=10**9,
                       help='Training steps of each classifier.')
  vae_steps: int = setting(2000, low=1, high=10**9,
                           help='Training steps of each VAE.')
  seed: int = fields.seed()


def open_images(settings: Settings) -> tuple[named.Data, Images, Images]:
  """The data, and images of its training and of its test set.

  Raises:
    ValueError: see `image_sets.open_images`, or a class has fewer images than
      `per_class`.
  """
  data, train, test = image_sets.open_images(settings, _MOST)
  names = data.description.class_names
  least = int(np.bincount(train.label, minlength=len(names)).min())
  most = max(settings.per_class)
  check(most <= least, 'per_class',
        f'must be at most {least}, as many as the smallest class has', most)
  return data, train, test


def arms_of(
    settings: Settings, data: named.Data
) -> dict[str, augmentation_arms.Arm]:
  """The ways to train, by name."""
  of_data = image_sets.data_of(settings)
  # Without moved images, which would be a fourth way.
  classifier = settings_for(data, {**of_data, 'steps': settings.steps,
                                   'shift': 0})
  return augmentation_arms.make_arms(classifier, vae_settings.with_facts(
      vae_settings.choose({**of_data, 'beta': _BETA,
                           'steps': settings.vae_steps}), data))


def run_study(
    arms: Mapping[str, augmentation_arms.Arm], train: Images, test: Images,
    cells: Iterable[tuple[int, int]], path: str, say: Callable[[str], None]
) -> list[dict[str, Any]]:
  """Accuracies of all arms: 'seed', 'per_class', and one of each arm.

  Args:
    arms: by name.
    train: what the few images are chosen from.
    test: what the classifiers are judged by.
    cells: (seed, images a class) of each row.
    path: of the file in which rows are kept; those in it are not run again.
    say: is told each row, in a line.
  """
  rows = read_json(path)['rows'] if os.path.exists(path) else []
  done = {(row['seed'], row['per_class']) for row in rows}
  for seed, size in cells:
    if (seed, size) in done:
      continue
    images = augmentation_arms.draw_few(train, size, seed)
    row: dict[str, Any] = {'seed': seed, 'per_class': size}
    for name, arm in arms.items():
      said = arm(images, seed)(test.x)
      row[name] = float(np.mean(said == test.label))
    rows.append(row)
    write_json(path, {'rows': rows})
    say(' '.join(f'{name} {value:.4g}' for name, value in row.items()))
  return rows


def summarise(
    rows: Sequence[Mapping[str, Any]]
) -> dict[int, dict[str, Estimate]]:
  """Images a class -> accuracy of each arm, and its gain over 'alone'.

  An interval is of the mean over seeds, for these test images; that of a
  gain is of differences within a seed.

  Args:
    rows: 'per_class' and the accuracy of every arm, of each seed.
  """
  found = {}
  for size in sorted({row['per_class'] for row in rows}):
    accuracy = {arm: np.array([row[arm] for row in rows
                               if row['per_class'] == size])
                for arm in COLORS}
    found[size] = {arm: of_mean(a) for arm, a in accuracy.items()}
    found[size] |= {f'{arm} - alone': of_mean(a - accuracy['alone'])
                    for arm, a in accuracy.items() if arm != 'alone'}
  return found


def verdict(
    summary: Mapping[int, Mapping[str, Estimate]], arm: str
) -> str:
  """What the intervals say of an arm's gains, by number of images a class."""
  said: dict[str, list[str]] = {}
  for size, row in summary.items():
    gain = row[f'{arm} - alone']
    word = ('better' if gain.low > 0 else 'worse' if gain.high < 0
            else 'no difference seen')
    said.setdefault(word, []).append(str(size))
  return f'{arm}: ' + '; '.join(
      f'{word} at {", ".join(at)}' for word, at in said.items())


def report(
    settings: Settings, arms: Mapping[str, augmentation_arms.Arm],
    train: Images, test: Images, workdir: str, say: Callable[[str], None]
) -> tuple[Table, list[str]]:
  """Runs or finishes the study; writes report.json and a figure.

  Args:
    settings: of the study.
    arms: by name.
    train: what the few images are chosen from.
    test: what the classifiers are judged by.
    workdir: the folder.
    say: is told each result, in a line.

  Returns:
    A table with a row for every number of images a class, and the verdicts.
  """
  path = os.path.join(workdir, 'report.json')
  first = settings.seed
  rows = run_study(arms, train, test, itertools.product(
      range(first, first + settings.num_seeds),
      sorted(set(settings.per_class))), path, say)
  summary = summarise(rows)
  names = list(next(iter(summary.values())))
  table = make_table(
      [Column('per_class', 'per class'),
       *(Column(name, digits='.3f') for name in names)],
      [(size, *row.values()) for size, row in summary.items()])
  write_json(path, {'rows': rows, 'summary': records(table)})
  draw(os.path.join(workdir, 'figures', 'augmentation.png'), summary,
       f'{settings.data}, {settings.num_seeds} seeds')
  return table, [verdict(summary, arm) for arm in COLORS if arm != 'alone']


def draw(
    path: str, summary: Mapping[int, Mapping[str, Estimate]], title: str
) -> None:
  """Writes the figure: accuracies, and gains over the real images alone."""
  size = np.array(list(summary))
  told: list[list[panels.Layer]] = [[], []]
  for place, (arm, color) in enumerate(COLORS.items()):
    x = size + (place - 1) * _DODGE * size.max()
    columns = [(arm, arm)]
    if arm != 'alone':
      columns.append((f'{arm} - alone', verdict(summary, arm)))
    for layers, (name, label) in zip(told, columns):
      value, low, high = np.transpose([row[name] for row in summary.values()])
      layers += [panels.Layer('line', np.full(2, at), np.array(ends),
                              color=color) for at, *ends in zip(x, low, high)]
      layers.append(panels.Layer('marked', x, value, label, color))
  told[1].insert(0, panels.Layer('dashed', size, np.zeros(len(size)),
                                 color=COLORS['alone']))
  panels.save_panels(path, [[
      panels.Panel(title, 'real images a class', label, layers)
      for title, label, layers in zip(
          (title, 'gain over the real images alone'),
          ('accuracy on test images', 'difference of accuracies'), told)
  ]], height=3.6)
