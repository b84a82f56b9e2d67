"""Points in the plane by name and options, for `train_classifier`.

  toy:spirals,turns=2,noise=0.05,points=1000
  toy:line,slope=2
"""

from genjax.data import named
from genjax.data import toy

_POINTS = 1000

HELP = f'Points of a toy set: {_POINTS} where absent, and as many held out.'


def open_points(spec: str, task: str, seed: int) -> named.Data:
  """The points that `--data=toy:<spec>` names, and as many held out.

  Raises:
    ValueError: an unknown set for the task, or an option it has not.
  """
  sets = named.CURVES if task == 'regression' else toy.SETS
  return named.open_points(spec, sets, _POINTS, seed)
