# Two commands do all the set-up on a machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow bench docs lint nano clean

demo: .venv/installed
	$(BIN)/samodal demo

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: .venv/installed-test
	$(BIN)/pytest -m slow

# Scores, training, tracking and models, each against the plain or the original's way: the better part of an hour
bench: .venv/installed-test
	$(BIN)/python benchmarks/bench_scores.py
	$(BIN)/python benchmarks/bench_train.py
	$(BIN)/python benchmarks/bench_tracking.py
	$(BIN)/python benchmarks/bench_speed.py

# The site of the documentation, in runs/site
docs: .venv/installed-test
	$(BIN)/mkdocs build

lint: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

# Repeats the training of the bundled model, hours on a laptop: see samodal/weights/samodal-nano/README.md
nano: .venv/installed
	scripts/train_nano.sh

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("samodal needs Python 3.11 or newer: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .cache runs dist
