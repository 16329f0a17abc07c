# Everything from an empty machine with Python 3.11, make and a C++ compiler: make demo, make test.
#
#   make demo DATA=folder        from data to slates that react and measured quality; ends with one JSON line
#   make test                    every test; TESTS=tests/stack for some of them
#   make storm                   kills under load with every kind of event log, checked against a model (long)
#   make check                   formatting, lint, types, imports, protos
#   make quality DATA=folder     the recipe over three seeds, through the front door and offline (long)
#   make learning               learning on against training anew, on a generated world (long)
#   make bench-freshness DATA=folder   and -throughput, -new-items, -swaps: the real-time figures (long)
#   make bench DATA=folder       what a slate costs beside the floor, feature reads beside Feast: short forms (10 minutes)
#   make bench-slates DATA=folder   one of them in its long form; make bench-feast-reads
#   make up DATA=folder / down / status     the stack on this machine, left running
#
# Other variables: PYTHON (a Python 3.11), PIP (more options for pip), SERVICES=separate (a process a service),
# REDIS=url (a server of your own), ARGS (more options for demo and up).
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
DATA ?=
SERVICES ?=
REDIS ?=
TESTS ?=
ARGS ?=
PIP ?=
# The first of these that is Python 3.11; empty if none is.
FIND_PYTHON = for p in $(PYTHON) python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done
STACK_OPTIONS = $(if $(DATA),--data "$(DATA)") $(if $(SERVICES),--services $(SERVICES)) $(if $(REDIS),--redis $(REDIS)) $(ARGS)

BENCHMARKS = bench-freshness bench-throughput bench-new-items bench-swaps bench-slates bench-feast-reads

.PHONY: help env protos demo quality learning bench $(BENCHMARKS) test check up down status clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^Other variables/,$$d'

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "no Python 3.11 found as python3.11, python3 or python: install it, or say make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
		echo "no C++ compiler found (c++, g++ or clang++): hnswlib is built here" >&2; exit 1; }; \
	test -x $(BIN)/python || { echo "making $(VENV) with $$(command -v $$python)" >&2; "$$python" -m venv $(VENV); } || { \
		echo "$$python cannot make a virtual environment: install its venv module (python3.11-venv)" >&2; exit 1; }
	@echo "installing packages into $(VENV): about 2 GB, some minutes the first time" >&2
	$(BIN)/pip install $(PIP) 'torch==2.13.0' >&2
	$(BIN)/pip install $(PIP) -e '.[dev]' >&2
	@touch $@

protos: env
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=. --pyi_out=. --grpc_python_out=. --mypy_grpc_out=quiet:. protos/penchant/v1/*.proto

demo: env
	@$(BIN)/python -m stack.demo $(STACK_OPTIONS)

quality: env
	@$(BIN)/python -m stack.quality --data "$(DATA)" $(ARGS)

bench: env
	@$(BIN)/python -m benchmarks $(if $(DATA),--data "$(DATA)") $(ARGS)

$(BENCHMARKS): env
	@$(BIN)/python -m benchmarks.$(subst -,_,$(@:bench-%=%)) $(if $(DATA),--data "$(DATA)") $(ARGS)

up: env
	@$(BIN)/python -m stack up $(STACK_OPTIONS)

# Neither needs an environment to find that nothing runs.
down status:
	@if test -x $(BIN)/python; then $(BIN)/python -m stack $@; else echo "nothing runs: there is no $(VENV)"; fi

test: env
	$(BIN)/python -m pytest $(TESTS)

learning: env
	@$(BIN)/python -m training.learning.experiment --out .penchant/learning --plot .penchant/learning.png $(ARGS)

storm: env
	@PYTHONPATH=tests $(BIN)/python -m fault.storm --file 200 --redis 50 --kafka 50 $(ARGS)

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint

# What was made here but the environment and downloaded data; stops the stack first.
clean:
	@test ! -x $(BIN)/python || $(BIN)/python -m stack down
	rm -rf .penchant/demo .penchant/up .penchant/learning .penchant/bench .penchant/data/generated dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
