# `make run` and `make test` set up all they need: Python 3.11+ and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := install --quiet --no-compile
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate
SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help run serve containers pictures test lint scan minimal unit integration soak fuzz bench lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/local.done ## Record a sample run in a local stack and show what happens
	@$(BIN)/python -m local run

serve: $(VENV)/local.done ## Keep a local stack, to be tried with any S3 client: PORT=4580
	@$(BIN)/python -m local serve $(if $(PORT),--port $(PORT))

containers: $(VENV)/local.done $(VENV)/sam.done ## Run the sample events in containers, by sam local invoke
	@$(BIN)/python -m local containers

pictures: $(VENV)/local.done ## Draw the pictures of the documentation anew
	@$(BIN)/python -m local.pictures

test: ## Check everything
	@$(MAKE) --no-print-directory --jobs 2 $(addprefix $(VENV)/, dev.done sam.done checkov.done unit.done)
	@$(MAKE) --no-print-directory --jobs 2 lint scan minimal
	@$(MAKE) --no-print-directory unit integration

lint: $(VENV)/dev.done ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# It calls nobody, and fails on a template that it cannot read.
scan: export CKV_SKIP_PACKAGE_UPDATE_CHECK := true
scan: export CKV_PARSE_ERROR_FAIL := true
scan: $(VENV)/checkov.done ## Check the template for weaknesses
	$(VENV)/checkov/bin/checkov --file template.yaml --framework cloudformation --skip-download --quiet --compact

minimal: $(VENV)/unit.done ## Run the unit tests with no packages but those that ship and the group "unit"
	$(VENV)/unit/bin/python -m pytest --quiet tests/unit

unit: $(VENV)/dev.done ## Test the modules alone, boto3 mocked
	$(BIN)/pytest --numprocesses auto --cov=handler --cov=run_recorder --cov-fail-under=95 tests/unit

integration: $(VENV)/dev.done $(VENV)/sam.done ## Test the modules together: sample events, stack, package
	$(BIN)/pytest --numprocesses auto --dist loadfile $(addprefix tests/, integration cli infrastructure properties)

soak: $(VENV)/dev.done ## Try more schedules, histories, runs and inputs than `make test` has time for
	$(BIN)/pytest --numprocesses auto --dist load -m "slow or not slow" --hypothesis-profile=soak \
		tests/properties tests/integration/test_backfill.py

fuzz: $(VENV)/dev.done $(VENV)/fuzz.done ## Look for documents and events that break the rules, for SECONDS=600
	@$(MAKE) --no-print-directory --jobs 2 fuzz-documents fuzz-events

# An input that breaks a rule is kept beside the corpus, which grows from one run to the next.
fuzz-%:
	@mkdir -p tests/properties/fuzz/corpus/$*
	@$(BIN)/python -m tests.properties.fuzz.$* -max_total_time=$(SECONDS) -max_len=16384 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=tests/properties/fuzz/corpus/$*- tests/properties/fuzz/corpus/$* events

bench: $(VENV)/local.done $(VENV)/sam.done ## Measure it, beside the least possible and the usual: JSON=file keeps the figures
	@$(BIN)/python -m benchmarks $(if $(JSON),--json $(JSON))

lock: $(BIN)/python ## Pin the newest versions that pyproject.toml allows
	$(PIP) $(INSTALL) uv
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group local --constraint requirements.txt --output-file requirements-local.txt
	$(COMPILE) pyproject.toml --group dev --constraint requirements-local.txt --output-file requirements-dev.txt
	$(COMPILE) --group bench --constraint requirements.txt --output-file requirements-bench.txt
	$(COMPILE) --group sam --output-file requirements-sam.txt
	$(COMPILE) --group checkov --output-file requirements-checkov.txt
	$(COMPILE) --group fuzz --output-file requirements-fuzz.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) .aws-sam .coverage .mypy_cache .pytest_cache .ruff_cache

# The .pth file puts src/ on the environment's path, as an editable install would. Pip as Python brings it
# takes twice as long for the rest.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	echo "$(CURDIR)/src" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/run-recorder.pth"
	$(PIP) $(INSTALL) --upgrade 'pip~=26.0'

$(VENV)/%.done: requirements-%.txt $(BIN)/python
	$(PIP) $(INSTALL) --requirement $<
	@touch $@

# Created anew each time, so that it never holds a package that is no longer listed.
$(VENV)/unit.done: requirements.txt requirements-dev.txt pyproject.toml $(BIN)/python
	$(BIN)/python -m venv --clear --without-pip $(VENV)/unit
	$(PIP) --python $(VENV)/unit/bin/python $(INSTALL) --requirement $< --group unit --constraint requirements-dev.txt
	@touch $@

# Tools with pins of their own get environments of their own.
$(VENV)/sam.done $(VENV)/checkov.done: $(VENV)/%.done: requirements-%.txt $(BIN)/python
	$(BIN)/python -m venv $(VENV)/$*
	$(PIP) --python $(VENV)/$*/bin/python $(INSTALL) --requirement $<
	@touch $@
