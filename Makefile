# make demo, make test: everything from an empty machine with Python 3.11, make and a C++ compiler.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DATA ?=

.PHONY: env protos demo test check up down status

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'torch==2.13.0'
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

protos: env
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=. --pyi_out=. --grpc_python_out=. --mypy_grpc_out=quiet:. protos/penchant/v1/*.proto

demo: env
	$(BIN)/python -m stack.demo $(if $(DATA),--data $(DATA))

up: env
	$(BIN)/python -m stack up $(if $(DATA),--data $(DATA))

down: env
	$(BIN)/python -m stack down

status: env
	$(BIN)/python -m stack status

test: env
	$(BIN)/python -m pytest

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
