# Everything a checkout can do; see README.md. Needs Python 3.11-3.13 and git.
#   make PYTHON=python3.12 demo     chooses the interpreter of the new venv
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/digits
ROUNDS ?= 7

BIN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PIP := $(BIN) -m pip --disable-pip-version-check install --quiet
# Compiling is most of the tests' time: what is compiled is kept, and two
# workers share it, each taking whole files, in the order of tests/conftest.py.
# Each computes on its own core: where the threads of BLAS wait for a core that
# another has, small products take a hundred times as long.
WORKERS ?= 2
TESTS := JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR='$(CURDIR)/.jax_cache' \
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
  JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1 \
  OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)
PYTEST := $(TESTS) -m pytest -n $(WORKERS) --dist loadfile \
  --no-loadscope-reorder
SOURCES := genjax experiments tests

.PHONY: help venv demo test test-all lint mutants quality certificate \
  benchmarks gpu-check clean

help:
	@echo 'make venv      install everything into $(VENV)'
	@echo 'make demo      train on handwritten digits and draw new ones'
	@echo 'make test      the tests, compiled in haste'
	@echo 'make test-all  the slow ones too, compiled as for users'
	@echo 'make lint      flake8, isort, mypy'
	@echo 'make mutants   plant known faults: the tests must see each of them'
	@echo 'make quality   the demo over three seeds, judged'
	@echo 'make certificate  measure every sampler against the exact answer'
	@echo 'make benchmarks   time all beside PyTorch and diffusers, for docs/'
	@echo 'make gpu-check    promises of a run, and speed, on the GPUs at hand'
	@echo 'make clean     remove what was built; keeps $(VENV) and runs/'

venv: $(STAMP)

# One line is what a person needs to read when the interpreter does not fit.
$(STAMP): requirements.txt setup.cfg pyproject.toml
	@command -v $(PYTHON) > /dev/null || { \
	  echo 'genjax: $(PYTHON) not found: install Python 3.11, 3.12 or 3.13'; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	sys.exit(None if (3, 11) <= v <= (3, 13) else "genjax: needs Python \
	3.11, 3.12 or 3.13, but $(PYTHON) is %d.%d: make PYTHON=..." % v)'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo 'genjax: $(PYTHON) has no venv: apt install python3-venv'; \
	  exit 1; }
	@echo 'installing into $(VENV), once'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --editable .
	@touch $@

demo: $(STAMP)
	@$(BIN) -m experiments.demo --workdir=$(WORKDIR)

quality: $(STAMP)
	@$(BIN) -m experiments.quality

certificate: $(STAMP)
	@JAX_PLATFORMS=cpu $(BIN) -m experiments.certify --out=docs \
	  --workers=$(WORKERS)

# Needs the extra `bench`, a quiet machine and half an hour.
benchmarks: $(STAMP)
	@for suite in training sampling startup memory; do \
	  $(BIN) -m experiments.benchmark $$suite --rounds=$(ROUNDS) \
	    --workdir=runs/benchmarks/$$suite || exit 1; done
	@$(BIN) -m experiments.benchmark page --workdir=runs/benchmarks

# XLA's sums on a GPU come in any order unless it is told otherwise.
gpu-check: $(STAMP)
	@XLA_FLAGS=--xla_gpu_deterministic_ops=true \
	  $(BIN) -m experiments.check_devices --workdir=runs/gpu/devices
	@for suite in training sampling; do \
	  $(BIN) -m experiments.benchmark $$suite --torch_compile \
	    --rounds=$(ROUNDS) --workdir=runs/gpu/$$suite || exit 1; done

test: $(STAMP)
	@$(PYTEST)

test-all: $(STAMP)
	@JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(PYTEST) -m 'slow or not slow'

lint: $(STAMP)
	$(BIN) -m flake8 $(SOURCES)
	$(BIN) -m isort --check-only --diff $(SOURCES)
	$(BIN) -m mypy

mutants: $(STAMP)
	@$(TESTS) -m tests.mutants

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .hypothesis \
	  .jax_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
