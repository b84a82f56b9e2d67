"""The faults that `make mutants` plants, and the tests that must see them."""

from typing import NamedTuple


class Fault(NamedTuple):
  """One replacement in one file."""

  name: str
  path: str  # relative to the root
  old: str  # in the file exactly once
  new: str
  tests: tuple[str, ...]  # what pytest is given


CONTINUOUS = 'genjax/distributions/continuous.py'
BOUNDED = 'genjax/distributions/bounded.py'
PROCESS = 'genjax/diffusion/process.py'
PREDICTION = 'genjax/diffusion/prediction.py'
LOSS = 'genjax/diffusion/loss.py'
SAMPLERS = 'genjax/diffusion/samplers.py'
STEP = 'genjax/training/step.py'
PIPELINE = 'genjax/data/pipeline.py'

KEYS = ('tests/test_keys.py',)


def _room(*names: str) -> tuple[str, ...]:
  """'data/toy' is tests/data/test_toy.py."""
  return tuple('tests/{}/test_{}.py'.format(*n.split('/')) for n in names)


FAULTS = (
    # Distributions.
    Fault('normal: sign of log scale', CONTINUOUS,
          'square(z) - log_scale', 'square(z) + log_scale',
          _room('distributions/continuous')),
    Fault('normal: scale taken as variance', CONTINUOUS,
          'p.loc + p.scale * unit_sample', 'p.loc + jnp.sqrt(p.scale) * '
          'unit_sample', _room('distributions/continuous')),
    Fault('student_t: chi-square of twice the degrees', CONTINUOUS,
          'half = 0.5 * jnp', 'half = jnp', _room('distributions/continuous')),
    Fault('gamma: rate taken as scale', BOUNDED,
          '(*shape, *a.shape), a.dtype) / rate',
          '(*shape, *a.shape), a.dtype) * rate',
          _room('distributions/continuous')),
    Fault('deviance: series cut short', 'genjax/distributions/saddle_point.py',
          'for j in range(1, 10)', 'for j in range(1, 2)',
          _room('distributions/continuous')),
    Fault('deviance: slope in the mean',
          'genjax/distributions/saddle_point.py',
          '(mean - x) / mean * dmean', '(mean - x) * dmean',
          _room('distributions/continuous')),
    Fault('rounded: noise of 16 bits', 'genjax/distributions/params.py',
          'wide = jnp.promote_types(dtype, jnp.float32)', 'wide = dtype',
          _room('distributions/continuous')),
    Fault('uniform: draws its upper end', BOUNDED,
          'return jnp.where(x >= params.high, low, x)',
          'return jnp.where(x > params.high, low, x)',
          _room('distributions/continuous')),
    Fault('beta: entropy of the sum', BOUNDED, '- special.digamma(total))',
          '+ special.digamma(total))', _room('distributions/continuous')),
    Fault('expectation: spread, not standard error',
          'genjax/distributions/base.py', ' / num**0.5', '',
          _room('distributions/base')),
    Fault('independent: one axis left', 'genjax/distributions/combinators.py',
          'sum_trailing(nats, ndims)', 'sum_trailing(nats, ndims - 1)',
          _room('distributions/combinators')),
    Fault('independent: rank of event', 'genjax/distributions/combinators.py',
          'base.event_ndims + ndims', 'ndims',
          _room('distributions/combinators')),

    # Diffusion.
    Fault('wrong sigma', PROCESS,
          'sigma=lambda t: jnp.sqrt(-jnp.expm1(2 * log_alpha(t)))',
          'sigma=lambda t: jnp.sqrt(-jnp.expm1(log_alpha(t)))',
          _room('diffusion/process')),
    Fault('chain late by one level', PROCESS,
          'np.concatenate([[0.0], -np.cumsum(np.log1p(-betas))])',
          'np.concatenate([[0.0, 0.0], -np.cumsum(np.log1p(-betas))[:-1]])',
          _room('diffusion/process')),
    Fault('transition: std of SNR, not root', PROCESS,
          'process.sigma(t) * jnp.sqrt(fresh)', 'process.sigma(t) * fresh',
          _room('diffusion/process')),
    Fault('prior: data_std forgotten', PROCESS,
          'jnp.square(alpha * data_std) +', 'jnp.square(alpha) +',
          _room('diffusion/process')),
    Fault('v: sign', PREDICTION, 'alpha * eps - sigma * x0',
          'alpha * eps + sigma * x0', _room('diffusion/prediction')),
    Fault('v: alpha^2 + sigma^2 taken as 1', PREDICTION,
          '/ (jnp.square(alpha) + jnp.square(sigma))', '',
          _room('diffusion/prediction')),
    Fault('edm: c_skip', PREDICTION, 'alpha * data_std**2 / variance',
          'alpha * data_std / variance', _room('diffusion/prediction')),
    Fault('input scaled down twice', PREDICTION,
          'jax.lax.rsqrt(jnp.square(alpha * data_std) + jnp.square(sigma))',
          '1 / (jnp.square(alpha * data_std) + jnp.square(sigma))',
          _room('diffusion/prediction')),
    Fault('loss: slope not squared', LOSS,
          'weighting(log_snr) * jnp.square(slope)',
          'weighting(log_snr) * jnp.abs(slope)', _room('diffusion/loss')),
    Fault('loss: mask ignored', LOSS,
          'jnp.sum(mask * losses) / jnp.sum(mask)', 'jnp.mean(losses)',
          _room('diffusion/loss')),
    Fault('loss: one noise for the batch', LOSS,
          "keys = fold_in_each(key_eps, batch['index'])",
          "keys = fold_in_each(key_eps, 0 * batch['index'])", KEYS),
    Fault('key used twice: label dropout', LOSS,
          "keys = fold_in_each(key_label, batch['index'])",
          "keys = fold_in_each(key_eps, batch['index'])", KEYS),
    Fault('key used twice: every step', SAMPLERS,
          'jax.random.fold_in(k, step)', 'jax.random.fold_in(k, 0)', KEYS),
    Fault('last step dropped', SAMPLERS,
          '(steps, times[:-1], times[1:])',
          '(steps[:-1], times[:-2], times[1:-1])',
          _room('diffusion/samplers')),
    Fault('denoiser asked at the wrong end', SAMPLERS,
          'x0 = denoiser(x, t)\n    if eta == 0:',
          'x0 = denoiser(x, s)\n    if eta == 0:',
          _room('diffusion/samplers')),
    Fault('ancestral: std of the larger variance', SAMPLERS,
          'std = eta * sigma_s * jnp.sqrt(fresh)',
          'std = eta * process.sigma(t) * jnp.sqrt(fresh)',
          _room('diffusion/samplers')),
    Fault('heun: slope at the old time', SAMPLERS,
          'velocity(x_s, denoiser(x_s, s), s)',
          'velocity(x_s, denoiser(x_s, s), t)',
          _room('diffusion/samplers')),
    Fault('2M: extrapolated twice as far', SAMPLERS,
          '0.5 * ahead / back', 'ahead / back', _room('diffusion/order')),
    Fault('guidance: scale 0 is conditional',
          'genjax/diffusion/guidance.py',
          'without + s * (cond(x, t) - without)',
          'without + (1 + s) * (cond(x, t) - without)',
          _room('diffusion/guidance')),
    Fault('exact: mixture weights forgotten', 'genjax/diffusion/exact.py',
          'jax.nn.softmax(nats, axis=1)', 'jnp.exp(log_weights) + 0 * nats',
          _room('diffusion/exact')),
    Fault('karras: ends one level early', 'genjax/diffusion/times.py',
          'jnp.linspace(high, low, num_steps)**rho',
          'jnp.linspace(high, low, num_steps + 1)[:-1]**rho',
          _room('diffusion/times')),

    # Training.
    Fault('EMA of the wrong tree', STEP,
          'optax.incremental_update(params, state.ema',
          'optax.incremental_update(state.params, state.ema',
          _room('training/step')),
    Fault('EMA: decay and its complement', STEP,
          'state.ema, 1.0 - decay)', 'state.ema, decay)',
          _room('training/step')),
    Fault('key used twice: every batch', STEP,
          'jax.random.fold_in(key, state.step)', 'jax.random.fold_in(key, 0)',
          KEYS),
    Fault('NaN gradient applied', STEP,
          'jnp.isfinite(loss) & jnp.isfinite(grad_norm)',
          'jnp.isfinite(loss)', _room('training/step')),
    Fault('pmap: gradients summed', STEP,
          'jax.lax.pmean((loss, grads), axis_name)',
          'jax.lax.psum((loss, grads), axis_name)',
          _room('training/parallel')),
    Fault('damage not seen', 'genjax/training/checkpoint.py',
          'if found[name] != meta[name]]', 'if name not in found]',
          _room('training/checkpoint')),
    Fault('batch repeated after resume', 'genjax/training/loop.py',
          'batches = batches_from(start)',
          'batches = batches_from(max(start - 1, 0))',
          _room('training/loop')),
    Fault('learning rate never falls', 'genjax/training/optimizers.py',
          'decay_steps=num_steps,', 'decay_steps=10 * num_steps,',
          _room('training/optimizers')),

    # Experiments.
    Fault('generation: labels shifted by one', 'experiments/diffusion_run.py',
          'label[index % num_samples]', 'label[(index + 1) % num_samples]',
          _room('experiments/sample')),
    Fault('held-out loss of the last weights',
          'experiments/train_diffusion.py',
          'loss_fn(state.ema, jax.random', 'loss_fn(state.params, jax.random',
          _room('experiments/train_diffusion')),

    # Data.
    Fault('labels shifted by one', 'genjax/data/embedded.py',
          'y.astype(np.int32)}, names', '(y.astype(np.int32) + 1) % 10}, names',
          _room('data/embedded')),
    Fault('splits swapped', 'genjax/data/embedded.py',
          "if split == 'train' else", "if split != 'train' else",
          _room('data/embedded')),
    Fault('stream late by one batch', PIPELINE,
          'itertools.count(start_step)',
          'itertools.count(max(start_step - 1, 0))', _room('data/pipeline')),
    Fault('batch repeated by grain', PIPELINE,
          "{'next_index': start_step}",
          "{'next_index': max(start_step - 1, 0)}",
          _room('data/pipeline')),
    Fault('every epoch in one order', PIPELINE,
          'permutation(size, seed, _ORDER, epoch)',
          'permutation(size, seed, _ORDER, 0)', _room('data/pipeline')),
    Fault('flipped upside down', PIPELINE,
          "batch['x'][flip, :, ::-1]", "batch['x'][flip, ::-1]",
          _room('data/pipeline')),
    Fault('pixels beyond [-1, 1]', PIPELINE,
          'np.float32(127.5) - np.float32(1)',
          'np.float32(127) - np.float32(1)',
          _room('data/pipeline')),
    Fault('toy labels swapped', 'genjax/data/toy.py',
          'label[:, None] == 0, upper, lower',
          'label[:, None] == 1, upper, lower', _room('data/toy')),
    Fault('folder labels shifted by one', 'genjax/data/folder.py',
          'np.int32(self.labels[index])', 'np.int32(self.labels[index] + 1)',
          _room('data/folder')),

    # Networks.
    Fault('U-Net deaf to the noise level', 'genjax/networks/unet.py',
          "name='time_emb_proj')(embedding)",
          "name='time_emb_proj')(0 * embedding)", _room('networks/unet')),
    Fault('"no class" is class 0', 'genjax/networks/embeddings.py',
          'jnp.broadcast_to(table[-1]', 'jnp.broadcast_to(table[0]',
          _room('networks/embeddings')),

    # Metrics.
    Fault('Frechet: half the cross term', 'genjax/metrics/frechet.py',
          '- 2 * cross', '- cross', _room('metrics/frechet')),
    Fault('KID: a point paired with itself', 'genjax/metrics/kernel.py',
          'return (total(x, x) - own)', 'return total(x, x)',
          _room('metrics/kernel')),
    Fault('precision and recall: radius of the other set',
          'genjax/metrics/manifold.py',
          'within = squared <= data_radii',
          'within = squared <= sample_radii[rows, None]',
          _room('metrics/manifold')),
    Fault('interval of half the rows', 'genjax/metrics/estimate.py',
          'size)[:size // 2]', 'size)[:size // 4]', _room('metrics/estimate')),
    Fault('neighbour ratio inverted', 'genjax/metrics/manifold.py',
          'float(nearest_distances(samples, train).mean()\n'
          '               / nearest_distances(test, train).mean())',
          'float(nearest_distances(test, train).mean()\n'
          '               / nearest_distances(samples, train).mean())',
          _room('metrics/manifold')),
    Fault('energy distance: one term missing', 'genjax/metrics/kernel.py',
          '\n          - _mean_distance(b, b, block))', ')',
          _room('metrics/kernel')),
)
