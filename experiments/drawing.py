"""Flags of scripts that draw from a run, and the run as they want it."""

from typing import Any

from absl import flags

from genjax.diffusion.named import SAMPLERS
from genjax.runs.open import open_run
from genjax.runs.task import Run

# Settings of a diffusion run that flags of the same names say anew.
_OF_DRAWING = ('sampler', 'rho', 'eta', 'churn', 'tau', 'guidance')


def define_flags() -> None:
  """Flags of scripts that draw from a run: which weights, and how."""
  flags.DEFINE_string('weights', 'ema', 'Parameters to draw with: raw, of the '
                      'last step; ema, their moving average; ema:0.07, one '
                      'of that width, of a run trained with --ema_widths.')
  flags.DEFINE_enum('sampler', None, list(SAMPLERS), 'Method by which a '
                    "diffusion run draws; the run's own where absent.")
  flags.DEFINE_integer('steps', None, 'Number of steps in which a diffusion '
                       "run draws a sample; the run's own where absent.", 2,
                       10**5)
  flags.DEFINE_float('rho', None, 'Power of the noise levels that a diffusion '
                     'run draws on, even in (noise over signal)^(1 / rho); the '
                     "run's own where absent.")
  flags.DEFINE_float('eta', None, 'Share of the noise, 0 to 1, that the '
                     'sampler ddim draws afresh in each step.')
  flags.DEFINE_float('churn', None, 'Noise that the sampler heun adds over all '
                     'steps (S_churn of EDM), 0 for none.')
  flags.DEFINE_float('tau', None, 'Scale of the noise of the samplers whose '
                     'name ends in sde, 0 for none.')
  flags.DEFINE_float('guidance', None, 'Scale of classifier-free guidance of a '
                     "diffusion run, 1 for none; the run's own where absent.",
                     lower_bound=0.0)


def opened() -> Run:
  """The run of --workdir, with the flags of `define_flags`.

  Raises:
    ValueError: see `open_run`.
  """
  values = flags.FLAGS
  given = {'sampling_steps': values.steps, **{
      name: getattr(values, name) for name in _OF_DRAWING}}
  # Options of the run's own method are not another's.
  kept = () if values.sampler is None else ('eta', 'churn', 'tau')
  return open_run(values.workdir, values.weights, settings={
      name: value for name, value in given.items()
      if value is not None or name in kept})


def drawn_by(run: Run) -> dict[str, Any]:
  """What samples of the run of `opened` depend on, beside their number."""
  names, values = ('sampling_steps', *_OF_DRAWING), flags.FLAGS
  return {'workdir': values.workdir, 'step': run.step,
          'weights': values.weights, 'seed': values.seed,
          **{name: getattr(run.settings, name) for name in names
             if getattr(run.settings, name, None) is not None}}
