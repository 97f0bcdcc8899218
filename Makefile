# Streambed. `make help` lists what there is to type; every target first sets up what is missing.

SHELL := /bin/bash
PYTHON_HERE := .venv/bin/python
# Links are emulated as root: by sudo, where we are not root and sudo exists.
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || command -v sudo)
TRACE ?= 4g
ARGS ?=
JOBS ?= auto

# As root, tests leave no files of root's in the tree.
PYTEST_AS_ROOT = $(SUDO) env PYTHONDONTWRITEBYTECODE=1 STREAMBED_FUZZ_S=$(STREAMBED_FUZZ_S) STREAMBED_REQUIRE_EMULATION=$(STREAMBED_REQUIRE_EMULATION) \
	$(PYTHON_HERE) -m pytest -p no:cacheprovider

.PHONY: help setup players test-tools run test stress lint doctor gpu constraints clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: ## install what is missing: system packages by apt-get, Python packages into .venv
	@testbed/setup.sh

players: ## install what real media and dash.js need: ffmpeg, Chromium, dash.js
	@testbed/setup.sh players

# What only tests need: a browser that opens a report. Without it those tests are skipped, in CI they fail.
test-tools:
	@testbed/setup.sh test-tools

run: setup ## the main job: five players over one replayed 4G trace; more options by ARGS="--rtt-ms 40"
	@$(SUDO) $(PYTHON_HERE) testbed/run.py --trace $(TRACE) $(ARGS)

# Emulation tests run one at a time, on a machine that does nothing else, but for those `beside`: these mostly
# wait and judge no timing, so root runs them among the first. Where nobody can be root all are skipped. The
# closing line is pytest's own and counts what ran last. ARGS may choose tests of one kind only: a run that
# finds none (pytest's status 5) then counts for nothing, and the second one, which would have the last word,
# is left out.
IS_ROOT := $(filter 0,$(shell id -u))
EMULATION_TESTS = $(PYTEST_AS_ROOT) -m "emulation and not stress$(if $(IS_ROOT), and not beside)" $(ARGS)
FIRST_TESTS := $(if $(IS_ROOT),(not emulation or beside),not emulation) and not stress
FOUND_NONE := 5
# All that tests start reads the bytecode that the first process keeps, also where the environment says that
# none is kept. Tests of one file share what they have set up and compiled, so one process runs them.
FAST_TESTS = env -u PYTHONDONTWRITEBYTECODE $(PYTHON_HERE) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
test: test-tools ## all tests but the long fault tests
	@if [ "$$(id -u)" -eq 0 ] || [ -n "$(SUDO)" ]; then \
		first=0; $(FAST_TESTS) -m "$(FIRST_TESTS)" $(ARGS) || first=$$?; \
		second=0; $(if $(ARGS),$(EMULATION_TESTS) --collect-only >/dev/null 2>&1 || second=$$?;) \
		[ $$second -eq $(FOUND_NONE) ] || { second=0; $(EMULATION_TESTS) || second=$$?; }; \
		case $$first,$$second in \
		*,$(FOUND_NONE)) exit $$first;; \
		0,* | $(FOUND_NONE),*) exit $$second;; \
		*) exit $$first;; \
		esac; \
	else \
		$(FAST_TESTS) -m "not stress" $(ARGS); \
	fi

stress: setup ## the long fault tests; STREAMBED_FUZZ_S=30 feeds each reader for 30 s, not for 10 min
	@$(PYTEST_AS_ROOT) -m stress $(ARGS)

lint: setup ## ruff and mypy
	@$(PYTHON_HERE) -m ruff check && $(PYTHON_HERE) -m ruff format --check && $(PYTHON_HERE) -m mypy

doctor: setup ## what this machine can emulate, what is missing, how to get it
	@$(SUDO) $(PYTHON_HERE) testbed/doctor.py $(ARGS)

gpu: setup ## what only a GPU can be measured for: a table in results/gpu; ARGS="--device cpu" tries it out
	@$(PYTHON_HERE) -m policies.llm gpu $(ARGS)

constraints: ## pin anew, in constraints.txt, what pyproject.toml resolves to today
	@testbed/setup.sh constraints

clean: ## remove .venv and caches; results/ stays
	@[ ! -d .venv ] || find .venv -mindepth 1 -delete
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	@rm -rf build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
