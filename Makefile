# `make run` and `make test` set up all they need: Python 3.11+ and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint unit integration lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(VENV)/local ## Record sample runs in a local stack and show what happens
	@$(BIN)/python -m local run

test: lint unit integration ## Everything that must hold

lint: $(VENV)/dev ## Style, types and the translated template
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

unit: $(VENV)/dev ## Modules alone, boto3 mocked
	$(BIN)/pytest tests/unit

integration: $(VENV)/dev $(VENV)/sam/done ## Modules together: events, stack, package
	$(BIN)/pytest tests/integration

lock: $(VENV)/local ## Pin the newest versions that pyproject.toml allows
	$(BIN)/pip install --quiet uv
	$(UV) pyproject.toml --output-file requirements.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) .aws-sam .mypy_cache .pytest_cache .ruff_cache .coverage

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
