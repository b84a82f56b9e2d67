"""The faults that `make mutants` plants, and the tests that must see them."""

from tests.faults import augment
from tests.faults import certificate
from tests.faults import data
from tests.faults import diffusion
from tests.faults import discriminative
from tests.faults import experiments
from tests.faults import families
from tests.faults import fits
from tests.faults import guided
from tests.faults import interpolation
from tests.faults import loop
from tests.faults import metrics
from tests.faults import models
from tests.faults import networks
from tests.faults import own_images
from tests.faults import processes
from tests.faults import restoring
from tests.faults import runs
from tests.faults import scoring
from tests.faults import special
from tests.faults import speed
from tests.faults import stores
from tests.faults import training
from tests.faults import vae
from tests.faults import wiring
from tests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *augment.FAULTS, *certificate.FAULTS, *data.FAULTS, *diffusion.FAULTS,
    *discriminative.FAULTS, *experiments.FAULTS, *families.FAULTS,
    *fits.FAULTS, *guided.FAULTS, *interpolation.FAULTS, *loop.FAULTS,
    *metrics.FAULTS, *models.FAULTS, *networks.FAULTS, *own_images.FAULTS,
    *processes.FAULTS, *restoring.FAULTS, *runs.FAULTS, *scoring.FAULTS,
    *special.FAULTS, *speed.FAULTS, *stores.FAULTS, *training.FAULTS,
    *vae.FAULTS, *wiring.FAULTS)
