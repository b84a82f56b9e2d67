"""Faults in variational autoencoders and the scripts that train them."""

from tests.faults.fault import Fault
from tests.faults.fault import room

SCRIPT = room('experiments/train_vae')

FAULTS = (
    Fault('binarized digits: grey counts as white', 'genjax/data/embedded.py',
          "source.arrays['image'] < 128", "source.arrays['image'] < 100",
          room('data/embedded')),
    Fault('on_levels: rounded down', 'experiments/vae_run.py',
          '2 * jnp.round((x + 1) * (top / 2)) / top - 1',
          '2 * jnp.floor((x + 1) * (top / 2)) / top - 1', SCRIPT),
    Fault('dequantised: by half a level to one side', 'experiments/vae_run.py',
          'minval=-0.5, maxval=0.5', 'minval=0.0, maxval=1.0', SCRIPT),
    Fault('vae: one noise, whatever is asked for', 'experiments/vae_run.py',
          "likelihoods.gaussian(s['scale'])", "likelihoods.gaussian('shared')",
          SCRIPT),
    Fault('vae: the optimizer sees the ELBO whatever beta',
          'experiments/vae_run.py', "beta=s['beta']", 'beta=1.0', SCRIPT),
    Fault('vae report: the bound of one code', 'experiments/vae_report.py',
          'return log_mean_exp(nats.reshape(-1, size))',
          'return nats.reshape(-1, size).mean(0)', SCRIPT),
    Fault('vae report: bits of a density as of a mass',
          'experiments/vae_report.py',
          'of_pixels and vae_run.is_density(settings) else None)',
          'of_pixels and not vae_run.is_density(settings) else None)',
          SCRIPT),
    Fault('vae report: a collapse is not mentioned',
          'experiments/vae_report.py', "': the posterior has collapsed'", "''",
          SCRIPT),
    Fault('pixel densities: the worst floor', 'experiments/pixel_densities.py',
          'floor = max(_FLOORS,', 'floor = min(_FLOORS,', SCRIPT),
    Fault('outlines: of variances', 'genjax/viz/latents.py',
          'vectors * np.sqrt(np.maximum(values, 0))[:, None]',
          'vectors * np.maximum(values, 0)[:, None]', room('viz/latents')),
)
