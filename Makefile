# Everything a newcomer needs: `make study` and `make test`. Both set up the environment first.
.DEFAULT_GOAL := help
.PHONY: help setup study test test-slow test-cluster test-slurm test-image test-long secrets image chaos check golden mutants bench coverage replicates constraints schema clean

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# The downloaded data sets, where they lie beside the checkout; elsewhere they are downloaded when a study needs them.
export VAESTUDY_DATA ?= $(wildcard ../shared/data)
ifeq ($(VAESTUDY_DATA),)
unexport VAESTUDY_DATA
endif

help:            ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing vaestudy into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	@touch $@

$(VENV)/cluster: $(VENV)/ready
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cluster]'
	@touch $@

setup: $(VENV)/ready   ## The environment, pinned by constraints.txt

study: setup           ## Runs the default study: four optimizers on real digits, a few minutes
	@$(BIN)/vaestudy launch studies/quickstart.yaml

test: setup            ## The tests, slow ones left out
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not chaos and not cluster and not image and not slurm"

test-slow: setup       ## The slow tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --timeout 900 -m "slow and not chaos and not cluster and not image and not slurm"

test-cluster: $(VENV)/cluster  ## Studies on several hosts, one killed, submitted from afar; docs/cluster.md's commands
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m cluster

test-long: $(VENV)/cluster     ## The slow ones, those on several hosts and the image's in one go, three files at a time
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --timeout 900 -m "(slow or cluster or image) and not chaos and not slurm"

secrets:               ## Makes the passwords that docker/compose.yaml and docker/kubernetes need
	@docker/secrets.sh

image:                 ## The image that docker/ runs everything in, by docker, podman or buildah
	@builder=$$(command -v docker || command -v podman || command -v buildah) \
	&& case $$builder in *buildah) set -- bud --format docker ;; *) set -- build ;; esac \
	&& $$builder "$$@" --file docker/Dockerfile --tag vaestudy:latest $(BUILD_ARGS) .

test-slurm: $(VENV)/cluster  ## A study in a real SLURM's queue, on hosts of their own (Debian: slurm-wlm)
	@$(BIN)/python -m pytest -m slurm

test-image: setup      ## Builds the image without an engine (buildah) and checks a study in it as its user
	@$(BIN)/python -m pytest -m image

chaos: $(VENV)/cluster         ## Faults on real processes: every bar of docs/reliability.md, or one: make chaos BAR=r5
	@rm -rf .chaos
ifdef BAR
	@$(BIN)/python -m pytest tests/chaos -k "$(BAR)_"
else
	@failed=0; \
	$(BIN)/python -m pytest tests/chaos -m alone --timeout 900 || failed=1; \
	$(BIN)/python -m pytest tests/chaos -m "not alone" --timeout 900 -n 3 --dist loadfile --no-loadscope-reorder || failed=1; \
	exit $$failed
endif

check: setup           ## Lint, format, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

golden: setup          ## Writes the golden traces and tables anew; say in the commit why they moved
	@$(BIN)/python -m tests.golden

mutants: setup         ## One-line faults in the code that judges: do the tests notice? MUTANTS=0 tries them all
	@$(BIN)/python -m tests.mutants $(MODULE)

bench: setup           ## Steps per second and study overhead against named rivals
	@$(BIN)/python -m benchmarks.run

replicates: setup      ## The default study under twelve study seeds: docs/results/replicates, an hour
	@$(BIN)/python -m benchmarks.replicates

coverage: setup        ## Rewrites docs/results/coverage: how often each interval covers its truth, by simulation
	@$(BIN)/python -m docs.results.coverage.run

schema: setup          ## Rewrites the study file's JSON Schema
	@$(BIN)/vaestudy schema > studies/study.schema.json

constraints: $(VENV)/cluster   ## Rewrites constraints.txt from the environment
	@$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+cpu$$//' | grep -v '[@:]' > constraints.txt

clean:                 ## Removes the environment and caches, keeps results
	rm -rf $(VENV) .bench-venv .mypy_cache .ruff_cache .pytest_cache
