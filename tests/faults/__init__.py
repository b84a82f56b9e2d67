"""The faults that `make mutants` plants, and the tests that must see them."""

from tests.faults import diffusion
from tests.faults import discriminative
from tests.faults import experiments
from tests.faults import families
from tests.faults import fits
from tests.faults import interpolation
from tests.faults import metrics
from tests.faults import models
from tests.faults import training
from tests.faults import vae
from tests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *families.FAULTS, *fits.FAULTS, *models.FAULTS, *diffusion.FAULTS,
    *training.FAULTS, *experiments.FAULTS, *metrics.FAULTS,
    *discriminative.FAULTS, *interpolation.FAULTS, *vae.FAULTS)
