"""Do a few images go further with mixup, or with samples of a VAE of them?

  python -m experiments.augmentation --workdir=runs/augmentation

Trains classifiers on 10, 20, 50 and 100 real images a class: on these alone,
with mixup, and with samples of a class-conditional VAE, which was trained on
the same few images and has seen no other. Within a seed the three share images,
initial weights and number of steps. Writes the accuracies on held-out images,
their means over seeds and those of the gains, with 95 % intervals, to
augmentation.json and a figure. What is done is kept: the same command again
goes on where it was stopped.

What the recipes of train_classifier and train_vae leave open was chosen on
training digits outside of the few, 10 and 50 a class, with other seeds: mixup
of 0.1 rather than 0.2, 0.5 or 1; for the VAE beta = 4 rather than 0.5, 1, 2 or
8, mean images rather than such with observation noise, and a quarter of a batch
rather than half of it. None was better than the real images alone there.
"""

import itertools
import os
from typing import Any, Iterable, Mapping, Sequence

from absl import flags
import numpy as np

from experiments import app
from experiments import augmentation_arms
from experiments import common
from experiments import flag_numbers
from experiments import image_data
from experiments import train_classifier
from genjax.checks import check
from genjax.data import named
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean
from genjax.runs import vae_settings
from genjax.viz import figures
from genjax.viz import panels

_MOST = 50_000  # images of a set that are read

_BETA = 4.0  # weight of the KL in the VAE's loss

COLORS = {'alone': figures.GREY, 'mixup': figures.ORANGE, 'VAE': figures.BLUE}
_DODGE = 0.008  # of the axis, between arms: intervals do not cover others


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where the study is kept; again to go on with it')
  common.define_data_flags('digits')
  flags.DEFINE_list('per_class', '10,20,50,100', 'real images of a class')
  flags.DEFINE_integer('num_seeds', 10, 'how often everything is drawn anew',
                       lower_bound=2)
  flags.DEFINE_integer('steps', 600, 'of each classifier', lower_bound=1)
  flags.DEFINE_integer('vae_steps', 2000, 'of each VAE', lower_bound=1)


def run_study(
    arms: Mapping[str, augmentation_arms.Arm], train: image_data.Images,
    test: image_data.Images, cells: Iterable[tuple[int, int]], path: str
) -> list[dict[str, Any]]:
  """Accuracies of all arms: 'seed', 'per_class', and one of each arm.

  Args:
    arms: by name.
    train: what the few images are chosen from.
    test: what the classifiers are judged by.
    cells: (seed, images a class) of each row.
    path: of the file in which rows are kept; those in it are not run again.
  """
  rows = common.read_json(path)['rows'] if os.path.exists(path) else []
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
    common.write_json(path, {'rows': rows})
    print(*(f'{name} {value:.4g}' for name, value in row.items()), flush=True)
  return rows


def summarise(
    rows: Sequence[Mapping[str, Any]]
) -> dict[int, dict[str, Estimate]]:
  """Images a class -> accuracy of each arm, and its gain over 'alone'.

  An interval is of the mean over seeds, for these held-out images; that of a
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


def table_of(summary: Mapping[int, Mapping[str, Estimate]]) -> str:
  """Lines of text: a row a number of images a class."""
  names = next(iter(summary.values()))
  lines = [f'{"per class":>9}' + ''.join(f'{name:>25}' for name in names)]
  for size, row in summary.items():
    cells = [f'{e.value:.3f} ({e.low:.3f}, {e.high:.3f})' for e in row.values()]
    lines.append(f'{size:9}' + ''.join(f'{cell:>25}' for cell in cells))
  return '\n'.join(lines)


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
          ('accuracy on held-out images', 'difference of accuracies'), told)
  ]], height=3.6)


def main() -> None:
  values = flags.FLAGS
  sizes = sorted(set(flag_numbers.counts('per_class', values.per_class,
                                         '10,20')))
  data = image_data.open_split()
  settings = train_classifier.settings_for(named.Data(*data), values)
  settings['shift'] = 0  # which would be a fourth way
  of_vae = vae_settings.with_facts(vae_settings.choose({
      'beta': _BETA, 'steps': values.vae_steps,
      **{name: values[name].value for name in (
          'data', 'image_size', 'held_out', 'seed')}}),
                                   data.description)
  train, test = (image_data.read(source, _MOST, values.seed)
                 for source in data)
  least = int(np.bincount(train.label,
                          minlength=settings['num_classes']).min())
  check(sizes[-1] <= least, 'per_class',
        f'must be at most {least}, as many as the smallest class has',
        sizes[-1])
  common.open_workdir(values.workdir, {
      name: values[name].value for name in (
          'data', 'image_size', 'held_out', 'per_class', 'num_seeds', 'steps',
          'vae_steps', 'seed')})

  path = os.path.join(values.workdir, 'augmentation.json')
  rows = run_study(
      augmentation_arms.make_arms(settings, of_vae),
      train, test, itertools.product(
          range(values.seed, values.seed + values.num_seeds), sizes), path)
  summary = summarise(rows)
  common.write_json(path, {'rows': rows, 'summary': {
      size: {name: e._asdict() for name, e in row.items()}
      for size, row in summary.items()}})
  figure = os.path.join(values.workdir, 'figures', 'augmentation.png')
  draw(figure, summary, f'{values.data}, {values.num_seeds} seeds')
  print('', table_of(summary), '', *(
      verdict(summary, arm) for arm in COLORS if arm != 'alone'), sep='\n')
  print(f'accuracy on {len(test.x)} held-out images: '
        f'mean over {values.num_seeds} seeds with its 95 % interval; wrote '
        f'{path} and {figure}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
