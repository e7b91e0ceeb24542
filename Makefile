# Everything a developer or a newcomer types. `make` lists it.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PROTOS := tfcanary/tf/wire/protos
OTHER_PYTHONS ?= 3.12 3.13
# With which the tests pass.
VERSIONS ?= --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-newest test-pythons test-cluster test-optional drills-long bench-judge bench-drift bench-gate check format docs screenshots compile protos clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): setup.py constraints.txt
	@echo 'installing into $(VENV): some minutes, about 2.5 GB'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(VERSIONS) --editable '.[local,pipelines,trigger,test]'
	@# Its requirements would bring a second TensorFlow; the tests compare our messages with its.
	$(BIN)/pip install --quiet $(VERSIONS) --no-deps 'tensorflow-serving-api>=2.21,<2.22'
	@touch $@

demo: $(STAMP) ## Release four models on this machine: one promoted, one rolled back, two refused
	$(BIN)/tfcanary demo

test: $(STAMP) ## The quick tests: a few minutes, nothing that pip cannot install
	$(PYTEST) -m "not slow"

test-all: $(STAMP) ## All tests, also those that are slow or need something built first
	-$(BIN)/python -m tests.binaries
	$(PYTEST)

test-newest: ## The quick tests with the newest version of everything, in a virtual environment of their own
	rm -f .venv-newest/.installed
	$(MAKE) test VENV=.venv-newest VERSIONS='--upgrade --upgrade-strategy eager'

test-pythons: ## The quick tests with each other Python that is on this machine: 3.12 and 3.13, each in a virtual environment of its own
	@for version in $(OTHER_PYTHONS); do \
	  if python=$$(tests/find-python.sh $$version); then \
	    $(MAKE) test VENV=.venv-$$version PYTHON="$$python" || exit 1; \
	  else \
	    echo "skipped: there is no python$$version on this machine"; \
	  fi; \
	done

test-cluster: $(STAMP) ## The tests on a control plane alone; KUBECONFIG=... (here, not in the environment) on a cluster of yours
	$(BIN)/python -m tests.binaries
	TFCANARY_TEST_KUBECONFIG='$(if $(filter command,$(firstword $(origin KUBECONFIG))),$(KUBECONFIG))' tests/cluster/in-namespace.sh $(BIN)/python -m pytest tests/cluster tests/adapters/kubeclient tests/adapters/kube tests/adapters/routing tests/deploy

test-optional: $(STAMP) ## What needs root or long builds: Envoy Gateway itself, a kubelet, the image; skipped by name where it cannot run
	TFCANARY_OPTIONAL=1 $(BIN)/python -m pytest -rs tests/cluster/optional tests/deploy/test_image.py

drills-long: $(STAMP) ## A release killed at every one of its writes to the API server; what a watch costs; a bucket that is away: half an hour
	TFCANARY_LONG=1 $(BIN)/python -m pytest -s tests/cluster/drills/test_kill.py tests/cluster/drills/test_cost.py tests/cluster/drills/test_bucket.py

bench-judge: $(STAMP) ## The judge beside Flagger's, Argo's and Kayenta's rules; ARGS=--quick for two minutes
	$(BIN)/python -m bench.judge $(ARGS)

bench-drift: $(STAMP) ## Drift beside a bare read, and beside other tools where they are installed
	$(BIN)/python -m bench.drift $(ARGS)

bench-gate: $(STAMP) ## The gate beside TensorFlow's own load, push and pull beside a copy; FOLDER=... for its models
	$(BIN)/python -m bench.gate $(or $(FOLDER),.tfcanary/bench) $(ARGS)

check: $(STAMP) ## Lint, types, and the order of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write what the documents read off the code, and the rules and the dashboard of deploy/monitoring
	$(BIN)/python -m docs.generate
	$(BIN)/python -m tfcanary.run.monitor deploy/monitoring docs/monitoring.md

screenshots: $(STAMP) ## Make the documents' pictures from a real run; needs Chromium
	$(BIN)/python -m docs.screenshots

compile: $(STAMP) ## Write components and pipelines as YAML; IMAGE=... names the image of the steps
	TFCANARY_IMAGE='$(IMAGE)' $(BIN)/python -m pipelines.compile

protos: $(STAMP) ## Compile the messages of TensorFlow and TF Serving, tfcanary/tf/wire/protos
	$(BIN)/python -m grpc_tools.protoc --proto_path=$(PROTOS) --include_imports --descriptor_set_out=$(PROTOS)/messages.binpb $(sort $(wildcard $(PROTOS)/*.proto))

clean: ## Remove what was built; state folders and the virtual environment stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
