"""Flags of scripts that draw from a run, and the run as they want it."""

from typing import Any

from absl import flags as absl_flags

from experiments import flags
from genjax.runs.diffusion_settings import Settings
from genjax.runs.open import open_run
from genjax.runs.settings import rules
from genjax.runs.task import Run

# Settings of a diffusion run that flags of the same names say anew; options of
# the run's own sampler are not another's.
_OF_SAMPLER = ('eta', 'churn', 'tau')
_OF_DRAWING = ('sampler', 'rho', *_OF_SAMPLER, *(
    name for name in rules(Settings) if name.startswith('guidance')))


def define_flags() -> None:
  """Flags of scripts that draw from a run: which weights, and how."""
  absl_flags.DEFINE_string('weights', 'ema', 'Parameters to draw with: raw, of '
                           'the last step; ema, their moving average; '
                           'ema:0.07, one of that width, of a run trained with '
                           '--ema_widths.')
  absl_flags.DEFINE_integer('steps', None, 'Number of steps in which a '
                            'diffusion run draws a sample; the run\'s own '
                            'where absent.', 2, 10**5)
  flags.define_anew(Settings, _OF_DRAWING)


def given() -> dict[str, Any]:
  """The settings that flags say anew, by name.

  Raises:
    ValueError: a list that holds something else than numbers.
  """
  values, chosen = absl_flags.FLAGS, flags.chosen(Settings)
  said = {'sampling_steps': values.steps, **{
      name: chosen.get(name) for name in _OF_DRAWING}}
  # Options of the run's own method are not another's.
  kept = () if values.sampler is None else _OF_SAMPLER
  return {name: value for name, value in said.items()
          if value is not None or name in kept}


def opened() -> Run:
  """The run of --workdir, with the flags of `define_flags`.

  Raises:
    ValueError: see `open_run`.
  """
  values = absl_flags.FLAGS
  return open_run(values.workdir, values.weights, settings=given())


def drawn_by(run: Run) -> dict[str, Any]:
  """What samples of the run of `opened` depend on, beside their number."""
  names, values = ('sampling_steps', *_OF_DRAWING), absl_flags.FLAGS
  return {'workdir': values.workdir, 'step': run.step,
          'weights': values.weights, 'seed': values.seed,
          **{name: getattr(run.settings, name) for name in names
             if getattr(run.settings, name, None) is not None}}
