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

--compose=<workdir> draws from the product of two runs, and says what its
integral is.
"""

import os

from absl import flags as absl_flags

from experiments import app
from experiments import asked
from experiments import composing
from experiments import drawing
from experiments import flags
from genjax.data import scaled
from genjax.reports import recognition
from genjax.reports.draws import draw
from genjax.reports.draws import numbers_of
from genjax.reports.draws import sampler_of
from genjax.reports.pictures import pictures
from genjax.reports.samples import check_out
from genjax.reports.samples import write_samples
from genjax.runs.data import scale_of
from genjax.runs.workdir import check_output


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the trained run.')
  drawing.define_flags()
  composing.define_flags()
  asked.define_flags()
  absl_flags.DEFINE_integer('num_samples', 100, 'Number of samples to '
                            'draw.', lower_bound=1, upper_bound=10**7)
  absl_flags.DEFINE_string('out', None, 'An .npz file or a folder of PNG '
                           'files; samples.npz in the workdir where absent.')


def main() -> None:
  values = absl_flags.FLAGS
  composes = composing.is_asked()
  run, used = (composing if composes else drawing).opened()
  sampler_of('workdir', run)  # before anything else is said
  num, classes = values.num_samples, drawing.classes_of(run)
  label = asked.parse_labels(classes, values.labels, num)
  vector = asked.parse_vector(numbers_of(run.settings), values.vector)
  out = values.out or os.path.join(values.workdir, 'samples.npz')
  check_output(out)
  check_out(out, flat=len(run.settings.shape) < 3)
  if composes:
    x, found, told = composing.draw(run, num, label, vector)
    used |= told
  else:
    x, found = draw('workdir', run, num, label, values.seed, vector), None
  scale, written, said = scale_of(run.settings), x, ''
  if scale is not None and not (out.endswith('.npz') or (
      scale.type == 'uint16' and x.shape[-1] == 1)):
    written = pictures(scaled.to_model(scale, x), x.shape[1:])
    said = ', at 8 bits for looking: an .npz file would hold them as they are'
  replaced = ', in place of earlier ones' if os.path.isfile(out) else ''
  beside = write_samples(out, written, label, classes, {
      **used, 'num_samples': num, 'labels': values.labels,
      **({} if vector is None else {'vector': vector})})
  print(f'wrote {num} samples to {out}, their flags to {beside}'
        f'{replaced}{said}')
  heeded = recognition.recognised(run.settings, values.workdir, x, label)
  for line in (found, heeded):
    if line is not None:
      print(line)


if __name__ == '__main__':
  define_flags()
  app.run(main)
