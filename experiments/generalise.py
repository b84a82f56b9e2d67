"""Do two models that were trained on other images draw the same pictures?

  python -m experiments.generalise --workdir=runs/generalise
  python -m experiments.generalise --data=folder:/my/images \\
      --sizes=50,200,800 --workdir=runs/generalise_mine

Trains two diffusion models on disjoint halves of n images each, for a few
numbers n, and draws from both by the probability-flow ODE from the same noise
(after arXiv:2310.02557). Models of few images copy them, so that the two
differ; those of many make nearly the same picture, which is in neither half.
Writes how similar the two models' samples are to each other and to their
training images, beside what models that only copy and fresh images have, with
95 % intervals, to report.json and a figure. Each model is a run in
<workdir>/n_<n>/a or b, with its samples. What is done is kept: the same command
again goes on where it was stopped, and may add sizes.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.data.identity import identify
from genjax.reports import generalise
from genjax.reports import generalise_models
from genjax.reports.table import as_text
from genjax.runs import workdir as workdirs
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the study; the same again goes on with it.')
  flags.define_settings(generalise.Settings)


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  settings = generalise.Settings(**flags.chosen(generalise.Settings))
  check_settings(settings)
  recipe, source, halves = generalise.open_study(settings, workdir)
  workdirs.create_or_check(
      workdir, 'generalise', settings,
      identify(source, workdirs.known_files(workdir)))
  table, verdicts = generalise.report(
      settings, generalise_models.trainer(recipe, print),
      generalise_models.copier(recipe), source, halves, workdir, print)
  print('', as_text(table), '', *verdicts, sep='\n')
  print(f'mean similarities of {settings.num_samples} samples of each model, '
        f'with 95 % intervals; {app.holds(workdir)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
