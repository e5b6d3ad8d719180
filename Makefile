# Every target sets itself up: a virtual environment in .venv with the exact versions of constraints.txt.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --disable-pip-version-check --progress-bar on -c constraints.txt
# Where torch comes from. PyPI's Linux build is for CUDA and large; without an NVIDIA driver torch's own index of CPU
# builds is used if it answers. `make TORCH_INDEX=URL` takes another index, `make TORCH_INDEX=` PyPI.
CPU_INDEX := https://download.pytorch.org/whl/cpu
ifeq ($(origin TORCH_INDEX), undefined)
# Asked once, and only when something is installed.
TORCH_INDEX = $(eval TORCH_INDEX := $(shell test "$$(uname -s)" != Linux || command -v nvidia-smi >/dev/null || \
	python3 -c "import urllib.request as r; r.urlopen('$(CPU_INDEX)/torch/', timeout=5); print('$(CPU_INDEX)')" 2>/dev/null))$(TORCH_INDEX)
endif
AUDIT := $(VENV)/audit/bin/pip-audit
# Python's stubs run with the protobuf that made them and newer ones: an old generator, in an environment of its own.
GENERATOR := $(VENV)/generator/.ready
STUBS := clients/python/kandinsky_api clients/typescript/src/gen clients/go/kandinskyapi clients/java clients/rust/src/generated \
	clients/rust/tests/generated
# Clients whose toolchain is here; one that is missing is named, and in CI a failure.
REQUIRE_ALL := $(if $(CI),--require-all)
TOOLCHAINS = $(PY) -m conformance.toolchains $(REQUIRE_ALL)
CONFORMANCE = $(PY) -m conformance $(REQUIRE_ALL)
RELEASED := $(sort $(wildcard proto/released/*.binpb))
TINY := from pathlib import Path; from kandinsky_server.testing import tiny; print(tiny.ensure(Path('.cache')))
# Files are tested at once, not single tests: the tests of a file share a server, which each worker would start else. They
# run in an order of chance, here always the same: `make test SEED=7` takes another, and pytest alone a new one each time.
JOBS ?= 2
SEED ?= 1
# Tests that run where KANDINSKY_TEST_DEVICE says.
ON_DEVICE := tests/backends tests/server/test_backends.py tests/server/test_parity.py tests/server/test_parity_in_company.py \
	tests/server/test_toy.py tests/diffusion/test_batched_step.py tests/diffusion/test_networks.py

# One thread a process, and no long spinning: two torch processes on a small machine starve each other otherwise.
export OMP_NUM_THREADS ?= 1
export GOMP_SPINCOUNT ?= 10000

.PHONY: demo test check fleet clients conformance audit serve bench gpu-check soak attack train dist proto proto-check setup clean

setup: $(READY)

$(READY): pyproject.toml clients/python/pyproject.toml models/pyproject.toml constraints.txt
	test -x $(PY) || python3 -m venv $(VENV)
	@echo "Installing torch, $(if $(TORCH_INDEX),from $(TORCH_INDEX),from PyPI: on Linux its CUDA build (5.4 GB on disk, some 3 minutes))"
	$(if $(TORCH_INDEX),-$(PIP) --retries 1 --no-deps --index-url $(TORCH_INDEX) torch)
	$(PIP) torch
	@echo "Installing the server, its backends and the tests' tools"
	$(PIP) -e clients/python -e models -e '.[openvino,otel,dev]'
	touch $(READY)

demo: $(READY)
	$(PY) -m demo

serve: $(READY)
	$(BIN)/kandinsky serve

test: $(READY)
	$(BIN)/pytest --randomly-seed=$(SEED) -n $(JOBS) --dist loadfile -m "not slow"
	$(BIN)/pytest --randomly-seed=$(SEED) -n $(JOBS) --dist loadfile -m slow --ignore tests/chaos
	$(CONFORMANCE) --examples

# Three servers behind Envoy, killed and drained while clients ask: it holds them to seconds, so on a quiet machine.
fleet: $(READY)
	$(BIN)/pytest tests/chaos

# Every client: its formatter, linter and compiler at their strictest, its tests, and what its registry would take, installed
# into a bare project.
clients: $(READY)
	$(TOOLCHAINS) check test package

# Every client against every case, and every example. Envoy, for gRPC-Web, comes with the tests' tools.
conformance: $(READY)
	$(CONFORMANCE) --examples

check: $(READY) proto-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/mypy

# Strict: what could not be looked up fails too. An environment of its own, so that the tool is not what it checks.
audit: $(AUDIT)
	$(AUDIT) --strict --no-deps --disable-pip --progress-spinner off --requirement constraints.txt

$(AUDIT):
	python3 -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1

bench: $(READY)
	$(PY) -m benchmarks

# All that only a GPU can show: networks and parity on it, then the table of figures at Kandinsky's real size. Some 40
# minutes and 12 GB in /tmp; without a GPU it says so and is done. It measures even where a test fails, and fails then.
gpu-check: $(READY)
	tests=0; figures=0; \
	if $(PY) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
		KANDINSKY_TEST_DEVICE=cuda $(BIN)/pytest $(ON_DEVICE) || tests=$$?; fi; \
	$(PY) -m benchmarks gpu || figures=$$?; \
	exit $$((tests ? tests : figures))

# On the tests' checkpoint, whose steps take milliseconds; `make soak MODEL=DIR` for another.
soak: $(READY)
	$(PY) -m benchmarks soak --model "$${MODEL:-$$($(PY) -c "$(TINY)")}"

# The long forms of tests/attacks, on loopback: run it on a quiet machine.
attack: $(READY)
	$(PY) -m benchmarks.attacks

# Some two hours on two cores. Every stage goes on from where it was stopped.
train: $(READY)
	for stage in movq clip prior gallery; do $(PY) -m training.train $$stage || exit; done
	$(PY) -m training.train decoder --ranks 2 --rank 1 & other=$$!; $(PY) -m training.train decoder --ranks 2 && wait $$other
	for stage in inpaint controlnet depth export; do $(PY) -m training.train $$stage || exit; done
	$(PY) -m training.evaluate

# A wheel and an sdist of each of the three distributions, in dist/.
dist: $(READY)
	rm -rf dist
	for folder in clients/python models .; do (cd $$folder && $(CURDIR)/$(BIN)/hatchling build -d $(CURDIR)/dist) || exit; done

proto: $(READY) $(GENERATOR)
	cd proto && PATH="$(CURDIR)/$(BIN):$$PATH" buf generate
	$(TOOLCHAINS) proto

$(GENERATOR):
	python3 -m venv $(VENV)/generator
	$(VENV)/generator/bin/pip install --quiet --disable-pip-version-check \
		grpcio-tools==1.74.0 protobuf==6.31.1 setuptools==80.9.0
	touch $(GENERATOR)

# The contract breaks none that was released, and the committed stubs are made from it.
proto-check: proto
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	for image in $(RELEASED); do (cd proto && ../$(BIN)/buf breaking --against "../$$image") || exit; done
	@test -z "$$(git status --porcelain -- $(STUBS))" || \
		{ git --no-pager diff --stat -- $(STUBS); \
		  echo "The committed stubs differ from the protos: run 'make proto' and commit the result."; exit 1; }

clean:
	rm -rf $(VENV) dist demo/images demo/contact-sheet.png .mypy_cache .ruff_cache .pytest_cache
