"""Do the devices of this machine keep what is promised of a training run?

  python -m experiments.check_devices --workdir=runs/devices
  python -m experiments.check_devices --preset=cifar10 --data=tfds:cifar10 \\
      --steps=40 --workdir=runs/devices

A diffusion model is trained for a few steps in several ways: at once, again,
stopped and gone on with, split over the devices in every way, and on one of
them. The first three are to be the same bit for bit, the others up to the order
of sums. One table, in report.json too; exit status 1 where a promise is broken.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.checks import check
from genjax.reports import devices
from genjax.reports.table import as_text
from genjax.runs import diffusion_settings
from genjax.runs.diffusion_choice import resolve

_STEPS = 40
# Where no flag says otherwise: a transformer, of which matrices can be split.
_SMALL = {'network': 'dit', 'width': (64,), 'depth': 2, 'head_dim': 16}


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of report.json, and of a run each way.')
  absl_flags.DEFINE_enum(
      'preset', None, list(diffusion_settings.RECIPES), 'Settings that go well '
      'together; absent, a small transformer on digits.')
  flags.define_settings(diffusion_settings.Settings)


def main() -> None:
  values = absl_flags.FLAGS
  small = {} if values.preset else _SMALL
  chosen = {'steps': _STEPS, **small, **flags.chosen(
      diffusion_settings.Settings)}
  check(chosen['steps'] > 20, 'steps', 'must be more than 20', chosen['steps'])
  settings, data, _ = resolve(values.preset or 'digits', chosen)
  table, broken = devices.report(settings, data, values.workdir, print)
  print(f'\n{as_text(table)}\n\n{app.holds(values.workdir)}')
  if broken:
    raise RuntimeError(f'broken on these devices: {", ".join(broken)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
