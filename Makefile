# SPDX-License-Identifier: Apache-2.0
#
# Every target sets up what it needs, in .venv, and does so only when something changed.
# `make PYTHON=python3.12 ...` chooses the interpreter that .venv is made with.

PYTHON ?= python3
CASES ?= 10000
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq

# What the installed package is made of.
SOURCES := CMakeLists.txt pyproject.toml setup.py README.md LICENSE MANIFEST.in $(shell find \
	cpp elastix_params models python scripts -type f \
	-not -path '*/.*' -not -path '*/__pycache__/*' -not -path '*.egg-info/*' -not -name '*.so' \
	-not -path '*/node_modules/*' -not -path '*/report/viewer.*' -not -path '*/report/viewer-licences.txt')
CPP_SOURCES := $(shell find cpp -name '*.h' -o -name '*.hxx' -o -name '*.cxx')

# Tests of one file share fixtures, so they stay in one process.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

# What `make sanitize` runs: the tests of the C++ code, except those that measure or limit memory, because the
# sanitizer does not give memory back, and takes terabytes of addresses.
SANITIZE_TESTS := tests/metric tests/plugin/test_error_messages.py tests/plugin/test_iteration.py \
	tests/plugin/test_steady.py tests/registration/test_itkv4_registration.py tests/registration/test_registration.py \
	--deselect tests/plugin/test_steady.py::test_memory_stays_flat \
	--deselect tests/metric/test_grid_size.py::test_too_little_memory_is_told_in_words

# What `make sanitize-threads` runs.
THREAD_TESTS := tests/metric/test_shared_objects.py tests/metric/test_blocks.py tests/metric/test_multi_metric.py \
	tests/metric/test_itkv4.py \
	--deselect tests/metric/test_shared_objects.py::test_threads_share_a_metric_for_itkv4

.PHONY: help demo test test-slow fuzz sanitize sanitize-threads soak lint format bench docs build wheel sdist clean FORCE
.DELETE_ON_ERROR:

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/made-package ## register a pair of brain images and write a picture of the result
	@$(BIN)/python -m cnnmetric.demo

test: $(VENV)/made-dev $(VENV)/made-package ## run the tests, but for the slow ones
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-slow: $(VENV)/made-dev $(VENV)/made-package ## run the slow tests
	@$(BIN)/python -m pytest -m slow $(PARALLEL)

fuzz: $(VENV)/made-dev $(VENV)/made-package ## try CASES inputs that nobody would write, from SEED; build/fuzz/journal
	@PYTHONPATH=tests $(BIN)/python -m fuzz --cases $(CASES) --seed $(SEED)

# Python is not built with sanitizers, so their library has to be loaded before it, and with it the C++
# library, whose exceptions the sanitizer follows. ldd finds those of the compiler in use.
# Leaks are not searched for, because the interpreter and the wheels have many; tests/plugin/test_steady.py
# finds those of the plugin. pytest captures Python's own output alone, so that a report is not lost with the
# process.
sanitize: $(VENV)/made-dev ## run tests with the address and undefined-behaviour sanitizers in the C++ code
	@echo 'Building in build/sanitize (the first time some minutes)'
	@rm -rf build/sanitize/python
	@CNNMETRIC_SANITIZE=address $(BIN)/python setup.py -q build --build-base build/sanitize --build-lib build/sanitize/python
	@PYTHONPATH=build/sanitize/python \
	LD_PRELOAD="$$(ldd build/sanitize/python/cnnmetric/_core.*.so | awk '/lib(asan|ubsan|stdc\+\+)\.so/ { print $$3 }' | xargs)" \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 \
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	$(BIN)/python -m pytest --capture=sys -m "not slow" $(SANITIZE_TESTS)

# ITK hands its work to threads of TBB, whose locks the sanitizer does not see, because they are in a wheel's library.
# Those of ITK's own threads it does. Tests that start an interpreter with a limit of time are left out: with the
# sanitizer it takes minutes.
sanitize-threads: $(VENV)/made-dev ## run the tests of several threads with the thread sanitizer in the C++ code
	@echo 'Building in build/sanitize-threads (the first time some minutes)'
	@rm -rf build/sanitize-threads/python
	@CNNMETRIC_SANITIZE=thread $(BIN)/python setup.py -q build --build-base build/sanitize-threads \
		--build-lib build/sanitize-threads/python
	@PYTHONPATH=build/sanitize-threads/python \
	LD_PRELOAD="$$(ldd build/sanitize-threads/python/cnnmetric/_core.*.so | awk '/lib(tsan|stdc\+\+)\.so/ { print $$3 }' | xargs)" \
	TSAN_OPTIONS=halt_on_error=1:report_signal_unsafe=0:ignore_noninstrumented_modules=1 \
	ITK_GLOBAL_DEFAULT_THREADER=Platform \
	$(BIN)/python -m pytest --capture=sys -m "not slow" $(THREAD_TESTS)

soak: $(VENV)/made-dev $(VENV)/made-package ## run hundreds of registrations by every entry point, and watch memory
	@$(BIN)/python -m pytest -s tests/plugin/test_soak.py

lint: $(VENV)/made-dev ## check style, types and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run --Werror $(CPP_SOURCES)

format: $(VENV)/made-dev ## format all sources
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/clang-format -i $(CPP_SOURCES)

bench: $(VENV)/made-dev $(VENV)/made-package ## measure speed against arithmetic, rivals and size, build/bench.md
	@$(BIN)/python benchmarks/bench.py

docs: $(VENV)/made-dev $(VENV)/made-package ## write the documentation as a site, build/site/index.html
	@$(BIN)/python -m sphinx -q --fail-on-warning --keep-going -c docs/site . build/site
	@echo 'build/site/index.html'

build: $(VENV)/made-package ## build the package and install it in .venv

wheel: $(VENV)/made-release ## build the wheel of this Python in dist/
	@$(BIN)/python scripts/build_wheel.py

sdist: $(VENV)/made-release ## build the source distribution in dist/
	@mkdir -p build
	@$(BIN)/python -m build --sdist --no-isolation --outdir dist . > build/sdist.log 2>&1 || { \
		cat build/sdist.log; exit 1; } >&2
	@ls dist/*.tar.gz

clean: ## remove what was built; .venv, with what was downloaded, stays
	@rm -rf build dist python/*.egg-info $(VENV)/made-package
	@rm -f python/cnnmetric/report/viewer.* python/cnnmetric/report/viewer-licences.txt
	@rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find python scripts tests benchmarks studies -name __pycache__ -exec rm -rf {} +

# --- set-up; each stamp is newer than what it was made from ---

$(VENV)/made-environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'error: Python 3.11 or later is needed, and $(PYTHON) is not. Choose one: make PYTHON=python3.12 ...'; \
		exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'error: $(PYTHON) cannot make virtual environments. Debian: apt-get install python3-venv'; \
		exit 1; } >&2
	@echo 'Setting up $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Everything but torch, which is large and which registration does not need.
$(VENV)/made-base: $(VENV)/made-environment pyproject.toml
	@echo 'Installing ITK, elastix, ONNX Runtime and the packages of the demo in $(VENV) (some minutes)'
	@$(BIN)/python scripts/list_requirements.py demo > $(VENV)/requirements-base.txt
	@$(PIP) install -r $(VENV)/requirements-base.txt
	@touch $@

$(VENV)/made-dev: $(VENV)/made-base
	@echo 'Installing torch and the packages for tests and lint in $(VENV) (some minutes)'
	@$(BIN)/python scripts/list_requirements.py dev > $(VENV)/requirements-dev.txt
	@$(PIP) install -r $(VENV)/requirements-dev.txt
	@touch $@

$(VENV)/made-release: $(VENV)/made-base
	@mkdir -p build
	@$(BIN)/python scripts/list_requirements.py release > $(VENV)/requirements-release.txt
	@$(PIP) install -r $(VENV)/requirements-release.txt
	@touch $@

# Not editable, so that tests run what users get. `build/` keeps the compiled objects, but not the copies
# of the package's files, some of which may be gone from the sources.
$(VENV)/made-package: $(VENV)/made-base $(VENV)/sources.txt $(SOURCES)
	@echo 'Building and installing cnnmetric (the first time some minutes)'
	@rm -rf build/lib.*
	@$(PIP) install --no-build-isolation --no-deps --force-reinstall .
	@touch $@

# Changes when a file comes or goes, which no time stamp would show.
$(VENV)/sources.txt: FORCE | $(VENV)/made-environment
	@echo $(sort $(SOURCES)) | cmp -s - $@ || echo $(sort $(SOURCES)) > $@
