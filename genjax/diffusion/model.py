"""A diffusion model: what belongs together, and the denoiser that it is."""

from typing import Callable, NamedTuple, Protocol

import jax.numpy as jnp

from genjax.diffusion.conditions import present
from genjax.diffusion.prediction import check_defined
from genjax.diffusion.prediction import clipped_log_snr
from genjax.diffusion.prediction import EmbedNoise
from genjax.diffusion.prediction import Prediction
from genjax.diffusion.prediction import ScaleInput
from genjax.diffusion.prediction import unit_variance
from genjax.diffusion.process import coefficients
from genjax.types import Apply
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Params
from genjax.types import Process
from genjax.types import PyTree

ProcessOf = Callable[[Params], Process]


class Diffusion(NamedTuple):
  """A diffusion model without its params, for which see `init_model`.

  Closed over, never an argument of jit, vmap or scan.
  """

  apply: Apply  # the network
  # (params) -> the process that the network is trained and sampled on. Called
  # inside of what is compiled, so that a schedule may be learned: `fixed` is
  # that of one that is not.
  process_of: ProcessOf
  prediction: Prediction  # what the network's output means
  data_std: float
  # (alpha, sigma, data_std) -> the factor on x_t
  scale_input: ScaleInput = unit_variance
  # (process, t) -> what the network gets as noise level
  embed_noise: EmbedNoise = clipped_log_snr


def fixed(process: Process) -> ProcessOf:
  """`process` whatever the params."""
  return lambda params: process


def init_model(network: Params, schedule: Params | None = None,
               weighting: Params | None = None) -> Params:
  """Params of a diffusion model; parts of which nothing is learned are empty.

  Args:
    network: Flax's `variables['params']` of the network.
    schedule: what `process_of` reads.
    weighting: what a learned weighting reads.
  """
  return {'network': network, 'schedule': schedule or {},
          'weighting': weighting or {}}


def predict(
    model: Diffusion, process: Process, params: Params, xt: Array, t: Array,
    cond: Cond | None, **kwargs
) -> tuple[Array, PyTree]:
  """What the network makes of x_t [B, ...]: (mean [B, ...], rest).

  The network is given its input in the dtype of xt, and the noise level in
  float32 or wider.

  Args:
    model: the model.
    process: `model.process_of(params)`.
    params: of the model.
    xt: [B, ...].
    t: [] or [B].
    cond: with 'absent' in it; None of an unconditional model.
    **kwargs: of the network.
  """
  t = jnp.broadcast_to(t, xt.shape[:1])
  alpha, sigma = coefficients(process, t, xt.ndim)
  scaled = model.scale_input(alpha, sigma, model.data_std) * xt
  scaled = scaled.astype(jnp.result_type(xt, float))
  return model.prediction.split(model.apply(
      {'params': params['network']}, scaled, model.embed_noise(process, t),
      cond, **kwargs))


class MakeDenoiser(Protocol):
  """The denoiser of these params under this condition."""

  def __call__(self, params: Params, cond: Cond | None = None) -> Denoiser:
    ...


def make_denoiser(model: Diffusion) -> MakeDenoiser:
  """(params, cond=None) -> Denoiser.

  The condition [B, ...] is that of the x that the denoiser is given, without
  'absent' or with it; `conditions.null` of it, or None, is none.

  Raises:
    ValueError: when it is called, if the prediction divides by alpha and alpha
      is 0 at t_max.
  """

  def denoiser(params: Params, cond: Cond | None = None) -> Denoiser:
    process = model.process_of(params)
    check_defined('make_denoiser', process, model.prediction)
    given = None if cond is None else present(cond)

    def denoise(x: Array, t: Array) -> Array:
      mean, _ = predict(model, process, params, x, t, given)
      return model.prediction.to_x0(process, mean, x, t)

    return denoise

  return denoiser
