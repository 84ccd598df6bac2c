# Every target makes its virtual environment itself and can be run twice.
VENV ?= .venv
PYTHON ?= python3
FILTERS ?= 0 4
TASKS ?= facts
SEEDS ?= 0
DEMO_ARGS ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Spinning OpenMP threads of one process starve those of another on a small machine.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: demo test bench lint clean install help

help:
	@echo "make demo [FILTERS=\"0 1 2 3 4\"] [TASKS=\"facts facts-mcq facts-context\"] [SEEDS=\"0 1\"]"
	@echo "                 the almanac study, end to end, on an embedded Hub; DEMO_ARGS go to every recipe"
	@echo "make test        the tests"
	@echo "make bench       the benchmarks; results in tests/benchmarks/results"
	@echo "make lint        ruff and mypy"
	@echo "make clean       stop the embedded Hub and remove what demo and test made (published artefacts too)"

install: $(INSTALLED)

$(INSTALLED): requirements-lock.txt setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -r requirements-lock.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" FILTERS="$(FILTERS)" TASKS="$(TASKS)" SEEDS="$(SEEDS)" bash recipes/demo.sh $(DEMO_ARGS)

test: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	-test -x $(BIN)/xlt-hub && $(BIN)/xlt-hub stop
	rm -rf .xlt-hub outputs build .pytest_cache .hypothesis .mypy_cache .ruff_cache src/*.egg-info $(INSTALLED)
