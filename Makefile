# Each target sets up its environment by itself; PYTHON=python3.12 picks an interpreter.
PYTHON ?= python3
RUN := .venv/bin/python
BENCH := NUMBA_NUM_THREADS=2 OMP_NUM_THREADS=2 .venv-bench/bin/python -m pytest -n 0
ARGS ?=

.PHONY: phase-diagram paper paper-full test test-faults bench docs lint environment interpreter

environment: interpreter
	@$(PYTHON) .ci/environment.py

interpreter:
	@command -v $(PYTHON) >/dev/null || { echo "No interpreter named $(PYTHON); name one: PYTHON=python3.12 make test"; exit 1; }

# make phase-diagram ARGS="--preset smoke --source iid"
phase-diagram: environment
	@$(RUN) simulations/phase_diagram.py $(ARGS)

# figures, tables and appendix.pdf from results/; paper-full makes those results first
paper: environment
	@$(RUN) -m paper.build $(ARGS)

paper-full: environment
	@$(RUN) -m paper.build --full $(ARGS)

test: environment
	@$(RUN) -m pytest $(ARGS)

# whatever dies, no number is lost: needs root for full disks and cut networks, else skips these
test-faults: environment
	@$(RUN) -m pytest tests/faults -m faults -n 0 $(ARGS)

# .venv-bench holds the peers too: first their results agree with ours, then the timings
bench: interpreter
	@$(PYTHON) .ci/environment.py bench
	@$(BENCH) tests/peers
	@$(BENCH) -m benchmark -s tests/benchmarks $(ARGS)

# build/docs: the READMEs and the reference of all packages; fails on a broken reference
docs: environment
	@$(PYTHON) .ci/environment.py docs
	@.venv-docs/bin/python .ci/docs.py $(ARGS)

lint: environment
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy
