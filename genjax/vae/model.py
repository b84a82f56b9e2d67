"""Variational autoencoders: a generative model p(z) p(x | z) and its inverse.

    vae = make_vae(
        partial(MLPEncoder, widths=(256,)),
        partial(MLPDecoder, shape=(8, 8, 1), widths=(256,)),
        posterior=posteriors.diagonal(16), prior=priors.standard_normal(16),
        likelihood=likelihoods.gaussian(), event_ndims=3)
    params = vae.init(key, x)
    q = vae.encode(params, x)  # params of vae.posterior.dist, a batch [B]
    z = vae.posterior.dist.sample(key, q)
    p = vae.decode(params, z)  # params of vae.likelihood

The parts are distributions: any of codes is a prior, any of values with a map
from a network's outputs to its params is a likelihood.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.vae.likelihoods import Likelihood
from genjax.vae.posteriors import Posterior
from genjax.vae.priors import Prior

# Number of outputs -> Flax module; of an encoder (x [B, ...], label) -> [B, O],
# of a decoder (z [B, Z], label) -> [B, *event, P]. A label is int [B], or float
# [B, K], the shares of K classes, or None.
MakeNetwork = Callable[[int], Any]


class VAE(NamedTuple):
  """p(x, z) = p(z) p(x | z) and q(z | x): pure functions of one params pytree.

  A class-conditional model is p(z) p(x | z, label) and q(z | x, label): the
  code is independent of the class, so that it is left with the style. The
  params are a dict of 'encoder', 'decoder', 'posterior', 'prior' and
  'likelihood'.
  """

  init: Callable[..., Params]  # (key, x [B, *event], label=None) -> params
  encode: Callable[..., Params]  # (params, x, label=None) -> of posterior.dist
  # (params, z [..., B, Z], label=None) -> params of `likelihood`.
  decode: Callable[..., Params]
  prior_params: Callable[[Params], Params]  # params -> those of `prior`
  posterior: Posterior
  prior: Distribution  # of z [Z]
  likelihood: Distribution  # of x [*event]
  num_latents: int  # Z


def make_vae(
    encoder: MakeNetwork, decoder: MakeNetwork, *, posterior: Posterior,
    prior: Prior, likelihood: Likelihood, event_ndims: int,
    num_classes: int | None = None
) -> VAE:
  """Puts the parts together.

  Kingma and Welling, arXiv:1312.6114; conditioned on classes as Kingma et al.,
  arXiv:1406.5298 (M2).

  Args:
    encoder: of as many outputs as the posterior needs.
    decoder: of as many a value as the likelihood needs.
    posterior: q(z | x).
    prior: p(z).
    likelihood: p(x | z) of one value of x; they are independent given z.
    event_ndims: rank of x: 3 for images, 1 for vectors.
    num_classes: of labels; None is unconditional.

  Raises:
    ValueError: posterior and prior of unlike codes; when called, networks of
      other outputs than the parts need, or labels without classes.
  """
  num_latents = posterior.num_latents
  check(prior.num_latents == num_latents, 'make_vae',
        'posterior and prior must be of codes of one length',
        f'{num_latents} and {prior.num_latents}')
  encode_net = encoder(posterior.num_outputs)
  decode_net = decoder(likelihood.num_outputs)

  def init(key: Key, x: Array, label: Array | None = None) -> Params:
    keys = jax.random.split(key, 4)
    z = jnp.zeros((len(x), num_latents), widen(x).dtype)
    return {'encoder': encode_net.init(keys[0], x, label)['params'],
            'decoder': decode_net.init(keys[1], z, label)['params'],
            'posterior': posterior.init(keys[2]),
            'prior': prior.init(keys[3], x),
            'likelihood': likelihood.init(x.shape[1:])}

  def encode(params: Params, x: Array, label: Array | None = None) -> Params:
    outputs = encode_net.apply({'params': params['encoder']}, x, label)
    check(outputs.shape == (len(x), posterior.num_outputs), 'encode',
          f'the encoder must give {(len(x), posterior.num_outputs)}',
          f'shape {outputs.shape}')
    return posterior.params(params['posterior'], outputs)

  def decode(params: Params, z: Array, label: Array | None = None) -> Params:
    batch = z.shape[:-1]
    if label is not None:
      whole = jnp.issubdtype(label.dtype, jnp.integer)
      shares = () if whole else label.shape[-1:]
      label = jnp.broadcast_to(label, batch + shares).reshape(-1, *shares)
    outputs = decode_net.apply({'params': params['decoder']},
                               z.reshape(-1, num_latents), label)
    check(outputs.ndim == event_ndims + 2
          and outputs.shape[-1] == likelihood.num_outputs, 'decode',
          f'the decoder must give [B, *event, {likelihood.num_outputs}] with '
          f'an event of rank {event_ndims}', f'shape {outputs.shape}')
    return likelihood.params(
        params['likelihood'], outputs.reshape(*batch, *outputs.shape[1:]))

  def prior_params(params: Params) -> Params:

    def of(x):
      label = None if num_classes is None else jnp.arange(len(x)) % num_classes
      return encode(params, x, label)

    return prior.params(params['prior'], of)

  return VAE(init, encode, decode, prior_params, posterior, prior.dist,
             independent(likelihood.dist, event_ndims), num_latents)
