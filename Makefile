# `make run` and `make test` install everything that they need, with Python 3.11+ and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := install --quiet --no-compile --require-hashes
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-header \
	--no-annotate
SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help run serve containers pictures test lint scan minimal unit integration soak fuzz bench dist lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/local.done ## Record a sample run in a local stack and show what happens
	@$(BIN)/python -m local run

serve: $(VENV)/local.done ## Run a local stack for any S3 client: PORT=4580
	@$(BIN)/python -m local serve $(if $(PORT),--port $(PORT))

containers: $(VENV)/local.done $(VENV)/sam.done ## Run the sample events in containers, by sam local invoke
	@$(BIN)/python -m local containers

pictures: $(VENV)/local.done ## Draw the pictures of the documentation again
	@$(BIN)/python -m local.pictures

test: ## Check everything
	@$(MAKE) --no-print-directory --jobs 2 $(addprefix $(VENV)/, dev.done sam.done checkov.done unit.done)
	@$(MAKE) --no-print-directory --jobs 2 lint scan minimal
	@$(MAKE) --no-print-directory unit integration

lint: $(VENV)/dev.done ## Check style, types and workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# The scan makes no network calls, and fails if it cannot read a template.
scan: export CKV_SKIP_PACKAGE_UPDATE_CHECK := true
scan: export CKV_PARSE_ERROR_FAIL := true
scan: $(VENV)/checkov.done ## Check the templates for weaknesses
	$(VENV)/checkov/bin/checkov --file template.yaml examples/worker/template.yaml --framework cloudformation --skip-download --quiet --compact

minimal: $(VENV)/unit.done ## Run the unit tests with only the packages that ship to Lambda and the group "unit"
	$(VENV)/unit/bin/python -m pytest --quiet tests/unit

# There are two coverage targets: every branch of the handler, and 95 % of the library. They do not include the command
# line, which tests/cli run on a stack.
unit: $(VENV)/dev.done ## Test each module alone with boto3 mocked, and check the coverage
	$(BIN)/pytest --numprocesses auto --cov=handler --cov=run_recorder --cov-report= tests/unit
	$(BIN)/coverage report --include='src/handler/*' --fail-under=100
	$(BIN)/coverage report --include='src/run_recorder/*' --omit='*/cli/*,*/__main__.py' --fail-under=95

integration: $(VENV)/dev.done $(VENV)/sam.done ## Test the modules together: sample events, stack, package
	$(BIN)/pytest --numprocesses auto --dist loadfile $(addprefix tests/, properties integration cli infrastructure)

soak: $(VENV)/dev.done $(VENV)/dist.done ## Test more schedules, histories, runs and inputs, for longer than `make test`
	$(BIN)/pytest --numprocesses auto --dist load -m "slow or not slow" --hypothesis-profile=soak \
		tests/properties tests/cli/test_reconcile_scale.py \
		$(addprefix tests/integration/, test_backfill.py test_benchmarks.py test_release.py)

fuzz: $(VENV)/dev.done $(VENV)/fuzz.done ## Search for documents and events that break the rules, for SECONDS=600
	@$(MAKE) --no-print-directory --jobs 2 fuzz-documents fuzz-events

# An input that breaks a rule is kept beside the corpus, which grows from one run to the next.
fuzz-%:
	@mkdir -p tests/properties/fuzz/corpus/$*
	@$(BIN)/python -m tests.properties.fuzz.$* -max_total_time=$(SECONDS) -max_len=16384 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=tests/properties/fuzz/corpus/$*- tests/properties/fuzz/corpus/$* events

bench: $(VENV)/local.done $(VENV)/sam.done ## Measure the function, compared with bare calls and a tutorial: JSON=file saves the results
	@$(BIN)/python -m benchmarks $(if $(JSON),--json $(JSON))

dist: $(VENV)/dist.done ## Make the files of a release in dist/
	@$(BIN)/python -m release

lock: $(VENV)/lock.done ## Pin the newest versions that pyproject.toml allows, with their hashes
	$(COMPILE) --group lambda --output-file requirements.txt
	$(COMPILE) pyproject.toml --group local --constraint requirements.txt --output-file requirements/local.txt
	$(COMPILE) pyproject.toml --group dev --constraint requirements/local.txt --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --constraint requirements/local.txt --output-file requirements/run-recorder.txt
	$(COMPILE) --group unit --constraint requirements/dev.txt --output-file requirements/unit.txt
	$(COMPILE) --group build --constraint requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) --group dist --constraint requirements/dev.txt --output-file requirements/dist.txt
	$(COMPILE) --group bench --constraint requirements.txt --output-file requirements/bench.txt
	for group in runtime sam checkov fuzz lock; do \
		$(COMPILE) --group $$group --output-file requirements/$$group.txt || exit; \
	done

clean: ## Remove the files that the other targets created
	rm -rf $(VENV) .aws-sam dist .coverage .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv --without-pip $(VENV)

# The pip of PYTHON installs the pinned pip, which is twice as fast as ensurepip, and the build tools of this project. If
# PYTHON has no pip, ensurepip installs one; in Python 3.11 it also installs a setuptools that is not pinned.
$(VENV)/build.done: requirements/build.txt $(BIN)/python
	$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python $(INSTALL) --requirement $< || \
		{ $(BIN)/python -m ensurepip && $(PIP) $(INSTALL) --requirement $<; }
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/%.done: requirements/%.txt | $(VENV)/build.done
	$(PIP) $(INSTALL) --requirement $<
	@touch $@

# Tools whose pins conflict have separate environments, and so do the minimal unit tests. Each environment is created
# again when its list changes, so that it never contains a package that is no longer listed.
$(VENV)/unit.done: requirements.txt
$(VENV)/unit.done $(VENV)/sam.done $(VENV)/checkov.done: $(VENV)/%.done: requirements/%.txt | $(VENV)/build.done
	$(BIN)/python -m venv --clear --without-pip $(VENV)/$*
	$(PIP) --python $(VENV)/$*/bin/python $(INSTALL) $(addprefix --requirement ,$^)
	@touch $@
