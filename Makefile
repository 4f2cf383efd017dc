# One line a target: the work is done by the commands named here. ARGS="…" hands more arguments on.
# PYTHON names the Python that .venv is made with, from 3.11; `make clean` first to change it.

PYTHON ?= python3
RUN = exec $(PYTHON) -E bootstrap.py
DEV = $(RUN) --dev

.DEFAULT_GOAL := help
.PHONY: help setup serve demo test test-postgresql check nightly perf-smoke wheel lock clean
unexport PYTHONHOME PYTHONPATH

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with everything that development needs
	@$(DEV)

serve: ## run Trellis on this machine, with all that it needs (TRELLIS_PORT=8080)
	@$(RUN) trellis serve $(ARGS)

demo: ## walk a phone's journey against the running server
	@$(RUN) trellis demo $(ARGS)

test: ## the whole suite, in parallel and in random order
	@$(DEV) pytest -n auto $(ARGS)

test-postgresql: ## what the suite says of the database, on PostgreSQL
	@$(DEV) pytest -n auto --postgresql $(ARGS)

nightly: ## the tests that take minutes
	@$(DEV) pytest -n auto -m nightly $(ARGS)

check: ## style, types and borders
	@$(DEV) sh -c 'ruff check . && ruff format --check . && mypy && lint-imports'

perf-smoke: ## one minute of load, judged by its budgets
	@$(DEV) trellis perf run smoke $(ARGS)

wheel: ## build the wheel into dist/
	@rm -rf build && $(DEV) pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lock: ## write the locked dependencies anew from setup.py (needs uv; ARGS=--upgrade)
	@requirements/lock $(ARGS)

clean: ## remove what these targets make, but not var/
	@rm -rf .venv build dist *.egg-info
