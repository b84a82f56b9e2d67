"""Scores samples, of any generator, against a data set.

  python -m experiments.evaluate --samples=samples.npz --data=digits \\
      --workdir=runs/evaluation

Samples are an .npz (`arr_0` uint8 [N, H, W, C], labels in `arr_1`), a folder of
pictures, or the folder of a run that samples (--samples=runs/vae), which then
draws as many as there are training images to compare, of its classes in turn.

Distances of distributions and shares by neighbours are to the test set, in
features of a classifier trained on the training set (by --classifier, or here)
and in pixels in [-1, 1]. Beside every number stands its floor: what real
training images score in place of the samples. Distances are unbiased for
independent draws; training and test images that were split by class, as the
digits were, are more alike than these, and theirs lie below 0. Three measures
ask for copies of training images: nn_ratio_pixels, c_t_pixels (in standard
deviations, below -3 where samples are nearer to them than test images are) and
authentic_pixels. Writes report.json and a figure.

Of a run, --weights=raw,ema:0.03,ema:0.1 compares averages of its weights, which
draw from the same noise, and writes sweep.json and a figure.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import evaluation
from genjax.reports import image_sets
from genjax.reports import sweep
from genjax.reports.judge import find_judge
from genjax.reports.table import as_text
from genjax.runs import workdir as workdirs
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of report.json and the figure.')
  flags.define_settings(evaluation.Settings)
  absl_flags.mark_flag_as_required('samples')


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  settings = evaluation.Settings(**flags.chosen(evaluation.Settings))
  check_settings(settings)
  data = image_sets.open_split(settings)
  workdirs.check_same(workdir, 'evaluation', settings)
  samples = sweep.open_each(settings, data)
  judge = find_judge(
      settings.classifier, data, image_sets.data_of(settings), workdir,
      print) if data.description.class_names else None
  workdirs.create_or_check(workdir, 'evaluation', settings)
  best = ''
  if len(samples) > 1:
    table, best = sweep.report(
        settings, {weights: source for weights, (source, _) in samples.items()},
        data, judge, workdir)
    best = f'; {best}'
  else:
    (source, step), = samples.values()
    table = evaluation.report(settings, source, step, data, judge, workdir)
  print(f'{as_text(table)}\n\nfeatures by extractor '
        f'{judge and judge.extractor}{best}; {app.holds(workdir)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
