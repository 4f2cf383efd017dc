# One line a target: the work is done by the commands named here. ARGS="…" hands more arguments on.
# PYTHON names the Python that .venv is made with, from 3.11; `make clean` first to change it.

PYTHON ?= python3
RUN = exec $(PYTHON) -E bootstrap.py
DEV = $(RUN) --dev
RELEASED = docs/reference/openapi.json
COMPARED = $(if $(wildcard $(RELEASED)),trellis openapi diff $(RELEASED),echo "compared with nothing: no release has written $(RELEASED)")

.DEFAULT_GOAL := help
.PHONY: help setup serve demo test test-postgresql check nightly api release-document perf-smoke wheel npm lock clean
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
	@$(DEV) pytest -n auto --dist worksteal $(ARGS)

test-postgresql: ## what the suite says of the database, on PostgreSQL
	@$(DEV) pytest -n auto --dist worksteal --postgresql $(ARGS)

nightly: ## the tests that take minutes
	@$(DEV) pytest -n auto --dist worksteal -m nightly $(ARGS)

check: ## style, types and borders
	@$(DEV) sh -c 'ruff check . && ruff format --check . && mypy && lint-imports'

api: ## the API document: whole, and nothing in it breaks the clients of the last release
	@$(DEV) sh -c 'trellis openapi check && $(COMPARED)'

release-document: ## at a release: keep the API document that later ones are compared with
	@$(DEV) sh -c 'trellis openapi export >$(RELEASED).new && mv $(RELEASED).new $(RELEASED)'

perf-smoke: ## one minute of load, judged by its budgets
	@$(DEV) trellis perf run smoke $(ARGS)

wheel: ## build the wheel into dist/
	@rm -rf build && $(DEV) pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

npm: ## install what tests take from npm, from the locked list (needs node)
	@npm ci --prefix requirements/npm --ignore-scripts --no-audit --no-fund --loglevel error

lock: ## write the locked dependencies anew from setup.py (needs uv; ARGS=--upgrade)
	@requirements/lock $(ARGS)

clean: ## remove what these targets make, but not var/
	@rm -rf .venv build dist *.egg-info requirements/npm/node_modules
