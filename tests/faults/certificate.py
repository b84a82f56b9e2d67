"""Faults in the certificate, and in the exact answers that it rests on."""

from tests.faults.fault import Fault
from tests.faults.fault import room

FLOW = 'genjax/diffusion/exact_flow.py'
CERTIFICATION = 'genjax/diffusion/certification.py'
LAWS = 'genjax/diffusion/certified_laws.py'
REPORT = 'genjax/reports/certificate.py'
PAGE = 'genjax/reports/certificate_page.py'
GUIDANCE = 'genjax/diffusion/certified_guidance.py'
RESTORATION = 'genjax/diffusion/certified_restoration.py'
SECTIONS = 'genjax/reports/certificate_guided_page.py'
GUIDED = room('diffusion/certified_guided')
FOUND, SCRIPT = room('diffusion/certification'), room('experiments/certify')

FAULTS = (
    Fault('flow of a Gaussian: ratio of variances', FLOW,
          'basis * jnp.sqrt(var_s / var_t)', 'basis * (var_s / var_t)',
          room('diffusion/exact')),
    Fault('flow of a mixture: one tail for all components', FLOW,
          'side = jnp.where(z > 0, 1.0, -1.0)',
          'side = jnp.where(z[:, :1] > -jnp.inf, 1.0, z)',
          room('diffusion/exact_flow')),
    Fault('flow by steps: data pull the wrong way', FLOW,
          'alpha * eps - sigma * x0', 'alpha * eps + sigma * x0',
          room('diffusion/exact_flow')),
    Fault('certificate: one process for all', CERTIFICATION,
          'jax.lax.switch(index, branches', 'jax.lax.switch(0, branches',
          FOUND),
    Fault('certificate: evaluations not counted', CERTIFICATION,
          'evaluations[...] += 1', 'evaluations[...] += 0', FOUND),
    Fault('certificate: a noise used twice is two', CERTIFICATION,
          'np.unique(np.asarray(first.codes)[:draws])',
          'np.asarray(first.codes)[:draws]', FOUND),
    Fault('certificate: points not in order', LAWS,
          'x, weights = x[order], weights[order]', 'weights = weights[order]',
          FOUND),
    Fault('certificate: rows never stale', REPORT,
          "get('inputs') != inputs[p]]", "get('inputs') is None]", SCRIPT),
    Fault('certificate: own start for exact', PAGE, "start or 'exact', row",
          "start or 'own', row", SCRIPT),
    Fault('certificate: starts of any variance', GUIDANCE,
          'return z / z.std(axis=0)', 'return z', GUIDED),
    Fault('certificate: composed of the conditional model alone', GUIDANCE,
          '(scale, 1 - scale), data_std=std)', '(1.0, 0.0), data_std=std)',
          GUIDED),
    Fault('certificate: noise of the draws is an error', RESTORATION,
          "- np.einsum('nij,nji->n', whole, covs) / num)", ')', GUIDED),
    Fault('certificate: each particle for nothing', RESTORATION,
          'asked[...] += max(1, restorer.particles)', 'asked[...] += 1',
          GUIDED),
    Fault('certificate: nobody is over-confident', SECTIONS,
          "Estimate(*row['spread'][axis]).low > 1",
          "Estimate(*row['spread'][axis]).low > 9",
          room('reports/certificate_guided')),
    Fault('certificate: rows of guidance never stale',
          'genjax/reports/certificate_guided.py',
          'programs.fingerprint(functools.partial(run, scale), *start)',
          'name', room('reports/certificate_guided')),
    Fault('fingerprint: constants unseen', 'genjax/training/programs.py',
          'list(_constants(closed))', '[]', room('training/programs')),
)
