# make demo    one recorded call on this machine; needs Python 3.11 or 3.12, make and the package registry
# make test    everything that must hold, also installs what the tests need (root on Debian) or names what is missing
# make lint    the checks of the source alone       make install   .venv with what callrec needs
# make venv    .venv with what tests need as well   make clean     remove what make made
# make pjsip   the production engine, built from source, in .venv-engine with callrec and what its tests need
#              (its source: PJPROJECT=/path/to/pjproject.tar.xz, else as deploy/pjsip/README.md says)
# Where several Pythons are there: make PYTHON=/path/to/python3.12 ...

.NOTPARALLEL:
.PHONY: demo test lint venv install pjsip clean
.DEFAULT_GOAL := demo

RUN := .venv/bin/python -m
QUIET_PIP := pip install --quiet --disable-pip-version-check --no-input --progress-bar off
PIP := $(RUN) $(QUIET_PIP)

# an environment holds absolute paths: one that was moved or copied here is made anew
ifneq ($(shell cat .venv/.made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv/.made-in
endif
ifneq ($(shell cat .venv-engine/.made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv-engine/.made-in
endif

demo: .venv/.demo
	@.venv/bin/callrec demo

test:
	@deploy/test-setup.sh
	@$(MAKE) --no-print-directory lint
	@$(RUN) pytest $(PYTEST_ARGS)

lint: .venv/.dev
	@$(RUN) ruff check --quiet
	@$(RUN) ruff format --check --quiet || { echo "ruff format would change these files; run: .venv/bin/ruff format"; exit 1; }
	@$(RUN) mypy --no-error-summary
	@mkdir -p build && .venv/bin/lint-imports >build/lint-imports.log || { cat build/lint-imports.log; exit 1; }
	@echo "source: ruff, mypy and import-linter are content"

venv: .venv/.dev

install: .venv/.demo

.venv/.dev: pyproject.toml .venv/.made-in
	@echo "installing what callrec and its tests need into .venv"
	@$(PIP) -e '.[eval,dev]'
	@mkdir -p build
	@touch .venv/.demo $@

.venv/.demo: pyproject.toml .venv/.made-in
	@echo "installing what callrec needs into .venv"
	@$(PIP) -e '.[eval]'
	@touch $@

.venv/.made-in:
	@deploy/make-venv.sh "$(PYTHON)"

pjsip: .venv-engine/.dev
	@PJPROJECT="$(PJPROJECT)" nice -n 19 deploy/pjsip/build.sh .venv-engine/bin/python
	@deploy/pjsip/install.sh .venv-engine/bin/python

.venv-engine/.dev: pyproject.toml .venv-engine/.made-in
	@echo "installing what callrec and its tests need into .venv-engine"
	@.venv-engine/bin/python -m $(QUIET_PIP) -e '.[dev]' wheel
	@touch $@

.venv-engine/.made-in:
	@deploy/make-venv.sh "$(PYTHON)" .venv-engine

clean:
	rm -rf --one-file-system .venv .venv-engine build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find callrec tests -name __pycache__ -type d -prune -exec rm -rf {} +
