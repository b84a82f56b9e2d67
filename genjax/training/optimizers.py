"""The optimizer of every experiment: clip, precondition, decay, schedule.

Weights that count by their direction alone, which are leaves of that name
(`networks.magnitude_preserving`), stay on a sphere.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from genjax.checks import check
from genjax.checks import check_choice
from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.numerics import unit_rms
from genjax.types import Array
from genjax.types import PyTree

# Size of the updates of Muon, a root mean square: that of Adam's, by which both
# want the same learning rate (arXiv:2502.16982, eq. 4).
_MUON_RMS = 0.2


def _name(path: Any) -> str | None:
  return getattr(path[-1], 'key', None) if path else None


def _matrices(params: PyTree) -> PyTree:
  """Which axes of a kernel or direction are a matrix, None for what is none.

  Of two axes it is one; of three a stack of them, that of a scan over layers;
  of four, a convolution, it maps all pixels of its window to one.
  """
  def axes(path: Any, x: Any) -> optax.contrib.MuonDimensionNumbers | None:
    if _name(path) not in ('kernel', 'direction') or x.ndim not in (2, 3, 4):
      return None
    return optax.contrib.MuonDimensionNumbers(
        (0, 1, 2) if x.ndim == 4 else (x.ndim - 2,), (x.ndim - 1,))

  return jax.tree_util.tree_map_with_path(axes, params)


def _on_sphere(updates: PyTree, params: PyTree) -> PyTree:
  """Updates after which each `direction` has mean square 1 an output channel.

  Forced weight normalisation, EDM2 (arXiv:2312.02696, eq. 66): what an
  update adds to the norm is taken away, so that a learning rate is an angle,
  the same after a million steps as after one.
  """
  def one(path: Any, update: Array, x: Array) -> Array:
    if _name(path) != 'direction':
      return update
    return unit_rms(x + update, tuple(range(x.ndim - 1))) - x

  return jax.tree_util.tree_map_with_path(one, updates, params)


def _clip(most: float) -> optax.GradientTransformation:
  """Scales gradients of a larger global norm than `most` to it.

  By one factor, where optax divides every number: a kernel less for each array,
  which a CPU has to compile and to run.
  """
  def scaled(grads: PyTree, params: PyTree) -> PyTree:
    del params
    factor = jnp.minimum(1.0, most / optax.tree.norm(grads))
    return jax.tree.map(lambda x: x * factor.astype(x.dtype), grads)

  return optax.stateless(scaled)


def _muon(b2: float) -> optax.GradientTransformation:
  """Muon for kernels, Adam for the rest, of the same size."""
  return optax.contrib.muon(  # a rate of -1 leaves sign and size as they are
      -1.0, adam_b2=b2, consistent_rms=_MUON_RMS,
      muon_weight_dimension_numbers=_matrices)


# Preconditioners by name, each a function of b2, the memory of its (second)
# moment. Weight decay is decoupled, so Adam with decay is AdamW.
OPTIMIZERS = {
    'adam': lambda b2: optax.scale_by_adam(b2=b2),
    'adamw': lambda b2: optax.scale_by_adam(b2=b2),
    'lion': lambda b2: optax.scale_by_lion(b2=b2),
    'muon': _muon,
}


def warmup_cosine(
    learning_rate: float,
    num_steps: int,
    *,
    warmup_steps: int = 100,
    final_fraction: float = 0.02,
) -> optax.Schedule:
  """Learning rate by update: linear warm-up, then half a cosine.

  It rises from learning_rate / (warmup_steps + 1), so that no update is
  wasted on a rate of zero, to `learning_rate` after `warmup_steps` updates,
  and falls to final_fraction * learning_rate at update `num_steps`
  (SGDR without restarts, arXiv:1608.03983 eq. 5).

  Args:
    learning_rate: the peak.
    num_steps: length of the whole run. The schedule depends on it: a run
      resumed with a larger number goes on along another, higher curve, and is
      not the run that the larger number would have given from the start.
    warmup_steps: length of the warm-up, less than num_steps.
    final_fraction: last learning rate over the peak.

  Returns:
    update count -> learning rate.

  Raises:
    ValueError: if a number is out of range.
  """
  check_positive('warmup_cosine', 'learning_rate', learning_rate)
  check_in_range('warmup_cosine', 'final_fraction', final_fraction, 0.0, 1.0)
  check(0 <= warmup_steps < num_steps, 'warmup_cosine',
        'warmup_steps must be in [0, num_steps)',
        f'warmup_steps {warmup_steps} and num_steps {num_steps}')
  if not warmup_steps:  # of which optax would say that it is constant
    return optax.cosine_decay_schedule(learning_rate, num_steps, final_fraction)
  return optax.warmup_cosine_decay_schedule(
      init_value=learning_rate / (warmup_steps + 1),
      peak_value=learning_rate,
      warmup_steps=warmup_steps,
      decay_steps=num_steps,
      end_value=final_fraction * learning_rate,
  )


def make_optimizer(
    learning_rate: float,
    num_steps: int,
    *,
    name: str = 'adam',
    warmup_steps: int = 100,
    final_fraction: float = 0.02,
    clip_norm: float | None = 1.0,
    b2: float = 0.99,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
  """An optimizer with warm-up, cosine decay and clipping.

  Args:
    learning_rate: the peak of `warmup_cosine`.
    num_steps: length of the whole run; see `warmup_cosine` for what it means
      to resume with another.
    name: 'adam' (arXiv:1412.6980), 'adamw' (arXiv:1711.05101), 'lion'
      (arXiv:2302.06675, whose learning rate is 3 to 10 times smaller) or 'muon'
      (Jordan et al. 2024, scaled as in arXiv:2502.16982: the momentum of every
      kernel or direction is made orthogonal; biases, scales and embeddings have
      Adam with Nesterov's momentum).
    warmup_steps: see `warmup_cosine`.
    final_fraction: see `warmup_cosine`.
    clip_norm: largest global norm of the gradient, None for no limit.
    b2: decay of the second moment (Adam) or of the momentum (Lion).
    weight_decay: decoupled decay per unit of learning rate, of parameters
      with two axes or more: biases and scales are left alone. Not for 'adam'.

  Returns:
    An optax gradient transformation, whose update takes the params. They are
    all that decides whether it keeps some on a sphere, see `_on_sphere`.

  Raises:
    ValueError: if the name is unknown or a number is out of range.
  """
  where = 'make_optimizer'
  check_choice(where, 'name', name, OPTIMIZERS)
  check(0.0 <= b2 < 1.0, where, 'b2 must be in [0, 1)', b2)
  check(weight_decay >= 0.0, where, 'weight_decay must not be negative',
        weight_decay)
  check(name != 'adam' or weight_decay == 0.0, where,
        "weight_decay must be 0 with 'adam' ('adamw' decays)", weight_decay)
  schedule = warmup_cosine(learning_rate, num_steps,
                           warmup_steps=warmup_steps,
                           final_fraction=final_fraction)
  parts = []
  if clip_norm is not None:
    check_positive(where, 'clip_norm', clip_norm)
    parts.append(_clip(clip_norm))
  parts.append(OPTIMIZERS[name](b2))
  if weight_decay > 0.0:
    parts.append(optax.add_decayed_weights(
        weight_decay,
        mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)))
  parts.append(optax.scale_by_learning_rate(schedule))
  tx = optax.chain(*parts)

  def update(grads: PyTree, state: PyTree, params: PyTree) -> Any:
    updates, state = tx.update(grads, state, params)
    return _on_sphere(updates, params), state

  return optax.GradientTransformation(tx.init, update)
