# Two commands are enough: `make demo` and `make test`. Nothing is installed outside this folder.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo up test campaign check bench screenshots lock clean

PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.9
UV := .tools/$(UV_VERSION)/bin/uv
BIN := .venv/bin
SOURCES := runtime schema resolvers domain tasks live integrations migrations web

export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export PIP_ROOT_USER_ACTION := ignore
# Trust what the machine trusts (a mirror's certificate), where it says what that is.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
export NODE_EXTRA_CA_CERTS ?= /etc/ssl/certs/ca-certificates.crt
endif
# Without bytecode that is kept each process of a test would compile what it loads.
unexport VIRTUAL_ENV UV_PYTHON UV_PROJECT_ENVIRONMENT PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

# Bytecode is written here and not at the first start, so that every start is a quick one.
define INSTALL
@echo "Installing into .venv (once) ..."
@test -x $(BIN)/python || $(UV) venv --quiet --python "$(PYTHON)" .venv
@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python $(1)
@$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
@$(BIN)/python -m compileall -q $(SOURCES)
endef

help: ## Show this
	@echo "Palpite: guess football scores before kick-off, watch the leaderboard move."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo 'Options of a command: make demo ARGS="--once --speed max". Another Python: make PYTHON=/path/to/python3.'

install: .venv/.ready ## Install what the product needs, into .venv

demo: .venv/.ready ## Run everything with demo members and a replayed season
	@$(BIN)/palpite demo $(ARGS)

up: .venv/.ready ## Run everything on an empty installation
	@$(BIN)/palpite up $(ARGS)

test: .venv/.ready-dev ## Run the tests on real servers (one part: ARGS="tests/unit -k name")
	@$(BIN)/palpite assets
	@$(BIN)/python -m pytest -n 4 --dist loadscope $(ARGS)

check: .venv/.ready-dev ## Format, lint, types, layers, schema, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/palpite schema --check
	@$(BIN)/python -m pytest -q tests/integration/test_migrations.py

campaign: .venv/.ready-dev ## Run the fault tests in full: kills, cuts, stops and flushes by the hundred
	@PALPITE_TEST_CAMPAIGN=10 $(BIN)/python -m pytest -q tests/faults $(ARGS)

bench: .venv/.ready-dev ## Measure against the limits
	@$(BIN)/python -m bench $(ARGS)

screenshots: .venv/.ready-dev ## Retake the screenshots of the documentation
	@$(BIN)/palpite screenshots $(ARGS)

lock: $(UV) ## Resolve the dependencies again (the only place that makes a uv.lock, which git ignores)
	$(UV) lock --upgrade
	$(UV) export --quiet --frozen --no-emit-project --no-header --no-annotate --no-dev -o requirements.lock
	$(UV) export --quiet --frozen --no-emit-project --no-header --no-annotate --all-extras -o requirements-dev.lock

clean: ## Remove what was installed; the data in .palpite stay
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Into a folder beside it that is renamed at the end: a killed first run leaves no half tool.
# `pip install --target` works without python3-venv and where the system's Python is managed (PEP 668).
$(UV):
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Palpite needs Python 3.11 or newer; this is %s. Set PYTHON=/path/to/python3" % sys.version.split()[0])'
	@"$(PYTHON)" -m pip --version >/dev/null 2>&1 || { echo "Palpite needs pip for $(PYTHON): install python3-pip, or set PYTHON=/path/to/python3" >&2; exit 2; }
	@rm -rf .tools/new && mkdir -p .tools
	@"$(PYTHON)" -m pip install --quiet --disable-pip-version-check --no-deps --target .tools/new uv==$(UV_VERSION)
	@rm -rf .tools/$(UV_VERSION) && mv .tools/new .tools/$(UV_VERSION)

.venv/.ready: pyproject.toml requirements.lock $(UV)
	$(call INSTALL,requirements.lock)
	@touch $@

# It holds what the product needs too, so `make demo` after `make test` removes nothing.
.venv/.ready-dev: pyproject.toml requirements-dev.lock $(UV)
	$(call INSTALL,requirements-dev.lock)
	@touch .venv/.ready $@
