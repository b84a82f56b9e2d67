"""Judges the digits that the demo's model draws, over seeds.

  python -m experiments.quality

Trains the digits preset for each seed, draws 1500 samples with the labels of
the training split, and writes five measures beside those of real data to
<workdir>/quality.json: what README.md reports.
"""

import os

from absl import flags
import numpy as np

from experiments import app
from experiments import common
from experiments import diffusion_run
from experiments import train_diffusion
from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics import classification
from genjax.metrics import frechet
from genjax.metrics import manifold


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where the runs are kept')
  flags.DEFINE_integer('num_seeds', 3, 'how many runs', lower_bound=1)
  flags.FLAGS.set_default('workdir', 'runs/quality')


def judge(images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Five measures of digits uint8 [N, 8, 8, 1] against the real ones.

  Pixels are the set's grey levels 0..16. `recognised` and `cas` are by an SVC
  that never saw the model; `fd_pixels` is to the 297 of the test split.
  """
  train, test = (embedded.digits(split).arrays for split in ('train', 'test'))
  x, real, held = (
      embedded.digits_to_levels(a).reshape(len(a), -1)
      for a in (images, train['image'], test['image']))
  return {
      'recognised': classification.recognition_rate(
          x, labels, real, train['label']),
      'cas': classification.classification_accuracy_score(
          x, labels, held, test['label']),
      'fd_pixels': frechet.frechet_distance(x, held),
      'nn_ratio': manifold.nearest_neighbour_ratio(x, real, held),
      'diversity': manifold.diversity(x, labels, held, test['label']),
  }


def table(rows: dict[str, dict[str, float]]) -> str:
  """The measures as lines of text, a row a generator."""
  names = list(next(iter(rows.values())))
  lines = [f'{"":16}' + ''.join(f'{name:>12}' for name in names)]
  lines += [f'{row:16}' + ''.join(f'{values[name]:12.3f}' for name in names)
            for row, values in rows.items()]
  return '\n'.join(lines)


def real_floor() -> dict[str, float]:
  """The measures of the training images themselves: what copying scores."""
  train = embedded.digits('train').arrays
  return judge(train['image'], train['label'])


def draw_like_train(
    generator: diffusion_run.Generator, params, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """1500 digits uint8 with the labels of the training split, and the labels."""
  label = embedded.digits('train').arrays['label']
  x = diffusion_run.generate(
      generator, params, common.root_key(seed, 'sample'), len(label), label,
      generator.model.settings['guidance'])
  return pipeline.to_uint8(x), label


def main() -> None:
  rows = {'real train': real_floor()}
  for seed in range(flags.FLAGS.seed, flags.FLAGS.seed + flags.FLAGS.num_seeds):
    workdir = os.path.join(flags.FLAGS.workdir, f'seed_{seed}')
    settings, data = train_diffusion.resolve('digits', {'seed': seed})
    if not train_diffusion.train(settings, data, workdir):
      raise SystemExit(130)
    model, params, _ = diffusion_run.load_run(workdir)
    generator = diffusion_run.default_generator(model)
    rows[f'seed {seed}'] = judge(*draw_like_train(generator, params, seed))
    print(table({f'seed {seed}': rows[f'seed {seed}']}), flush=True)
  runs = [row for name, row in rows.items() if name.startswith('seed')]
  for name, reduce in (('mean', np.mean), ('least', np.min), ('most', np.max)):
    rows[name] = {k: float(reduce([run[k] for run in runs])) for k in runs[0]}
  print(table(rows))
  common.write_json(os.path.join(flags.FLAGS.workdir, 'quality.json'), rows)


if __name__ == '__main__':
  define_flags()
  app.run(main)
