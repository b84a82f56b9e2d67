"""What a training run carries from step to step."""

from typing import Iterable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.numerics import widen
from genjax.training.averages import widths_of
from genjax.types import Array
from genjax.types import Params
from genjax.types import PyTree


class State(NamedTuple):
  """A training run between two steps, a pytree of arrays only.

  `step` counts batches seen, skipped ones included, so that it alone says
  which batch and which noise come next; `step - skipped` counts updates.
  """

  step: Array  # [] int32
  params: Params
  opt_state: PyTree
  # Averages of params by name, float32 or wider: in bfloat16 what one update
  # adds to them would be rounded away.
  averages: Mapping[str, Params]
  frozen: PyTree  # what losses look at and no step changes
  skipped: Array  # [] int32, updates left out because they were not finite


def init_state(
    params: Params, tx: optax.GradientTransformation,
    averages: Iterable[str] = (), frozen: PyTree = {},
) -> State:
  """The state before the first step, with every average equal to `params`.

  The averages, and what the optimizer remembers, are float32, or float64 where
  the params are; params keep their dtype, and round their updates to it.
  All are copies: the arrays of a donated state die with the first step, and
  arrays that share a buffer could not be donated.

  Args:
    params: pytree of arrays.
    tx: the optimizer.
    averages: their names.
    frozen: pytree of arrays that losses may look at: a teacher, say.

  Returns:
    A `State` at step 0.
  """
  params = jax.tree.map(jnp.array, params)
  wide = jax.tree.map(widen, params)
  return State(
      step=jnp.zeros((), jnp.int32),
      params=params,
      opt_state=tx.init(wide),
      averages={name: jax.tree.map(jnp.array, wide) for name in averages},
      frozen=jax.tree.map(jnp.array, frozen),
      skipped=jnp.zeros((), jnp.int32),
  )


def snapshot(state: State) -> State:
  """The power averages of a state and its counts, and nothing else."""
  kept = {name: state.averages[name] for name in widths_of(state.averages)}
  return state._replace(params={}, opt_state=(), averages=kept, frozen={})
