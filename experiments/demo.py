"""First light: trains on handwritten digits, draws new ones, judges them.

  make demo

Everything lands in the work directory: figures/samples.png (ten of each
class), figures/forward_reverse.png and .gif, figures/training.png,
samples.npz, metrics.jsonl, TensorBoard events, checkpoints.
"""

import os

from absl import flags as absl_flags
import numpy as np

from experiments import app
from experiments import flags
from experiments import train_diffusion
from genjax import viz
from genjax.files import write_json
from genjax.reports import forward_reverse
from genjax.reports import quality
from genjax.reports.samples import write_samples
from genjax.reports.table import as_text
from genjax.runs import open_run
from genjax.runs.diffusion_choice import resolve


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Where everything is written.', 'runs/digits')


def main() -> None:
  workdir, seed = absl_flags.FLAGS.workdir, absl_flags.FLAGS.seed
  settings, data, _ = resolve('digits', {'seed': seed})
  print(f'training {settings.steps} steps on {data.description.size} real '
        f'8x8 digits, into {workdir}', flush=True)
  train_diffusion.train(settings, data, workdir)
  print('drawing 1500 digits', flush=True)
  run = open_run(workdir)
  images, label = quality.draw_like_train(run, seed)
  used = {'workdir': workdir, 'step': run.step, 'weights': 'ema', 'seed': seed,
          'labels': 'those of the training split',
          'sampler': settings.sampler, 'guidance': settings.guidance,
          'sampling_steps': settings.sampling_steps}
  samples = os.path.join(workdir, 'samples.npz')
  write_samples(samples, images, label, settings.class_names, used)

  figures = os.path.join(workdir, 'figures')
  grid = os.path.join(figures, 'samples.png')
  ten_each = np.stack([images[label == c][:10] for c in range(10)], axis=1)
  viz.save_grid(grid, ten_each.reshape(-1, *images.shape[1:]), 10)
  x0, classes = forward_reverse.example_images(run, data, 36)
  strip, _ = forward_reverse.draw_images(
      run.task.build(settings).parts, run.params, x0, classes, seed, figures)

  ours = quality.judge(images, label)
  rows = {'these samples': ours, 'real train': quality.real_floor()}
  write_json(os.path.join(workdir, 'report.json'), rows)
  recognised, ratio = ours['recognised'], ours['nn_ratio']
  training = os.path.join(figures, 'training.png')
  print(f"""
{as_text(quality.table(rows))}

An SVC that never saw the model recognises {recognised:.1%} of the digits as
the class asked for. NN ratio {ratio:.2f}: their distance to the nearest
training image, over that of real test images (1: as new as real ones; 0:
copies).

  {grid}   ten of each class
  {strip}   data to noise to data; .gif moves
  {training}   loss, by noise level, gradient norm
  {samples}   1500 digits: arr_0 uint8 NHWC, arr_1 labels
  {app.holds(workdir)}

Your own images (PNG or JPEG, one sub-folder a class, or none):
  .venv/bin/python -m experiments.train_diffusion --data=folder:PATH \\
      --image_size=32 --workdir=runs/mine""")


if __name__ == '__main__':
  define_flags()
  app.run(main)
