# Each target sets up .venv by itself; PYTHON=python3.12 picks an interpreter.
PYTHON ?= python3
RUN := .venv/bin/python
ARGS ?=

.PHONY: phase-diagram test bench lint environment

environment:
	@command -v $(PYTHON) >/dev/null || { echo "No interpreter named $(PYTHON); name one: PYTHON=python3.12 make test"; exit 1; }
	@$(PYTHON) .ci/environment.py

# make phase-diagram ARGS="--preset smoke --source iid"
phase-diagram: environment
	@$(RUN) simulations/phase_diagram.py $(ARGS)

test: environment
	@$(RUN) -m pytest $(ARGS)

bench: environment
	@$(RUN) -m pytest -m benchmark -n 0 -s tests/benchmarks $(ARGS)

lint: environment
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy
