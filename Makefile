# make demo    one recorded call on this machine; needs Python 3.11 or 3.12, make and the package registry
# make test    everything that must hold, also installs what the tests need (root on Debian) or names what is missing
#              (a test with real calls that failed beside others is tried again alone, and told: tests/again.py)
# make pjsip   the production engine, built from source, in .venv in place of the evaluation engine
#              (its source: PJPROJECT=/path/to/pjproject.tar.xz, else as deploy/pjsip/README.md says)
# make lint    the checks of the source alone       make install   .venv with what callrec needs
# make venv    .venv with what tests need as well   make clean     remove what make made
# make bench   the same calls through callrec and through Asterisk: CPU, packets, audio, into build/bench.json; takes
#              nearly an hour (RUNS=1 ROWS=c100,s40 SYSTEMS=callrec for less; ADD=1 counts the runs of the same code on
#              the same machine that are there already; README=1 puts the table into README.md); without ROWS also
#              how often the tolerant verifier errs, by kind of fault, in 1000 trials of each sort
# make chaos   500 times: the agent killed at random, its store cut off in every fourth; then everything it had
#              acknowledged is looked for (ROUNDS= SEED= STORE=s3, for a real S3 server); about half an hour
# make bench-keeping   CPU of sealing and keeping a minute of talk; 300 calls that end at once
# make stop-latency   120 stops of real calls by key, code and command: how much that was said later is in the recording,
#              median and p99; about seven minutes (STOPS= AT_ONCE= SEED=)
# make tap-cost   what the wire tap takes of a call's CPU: seconds
# make trials  how often the tolerant verifier errs, for each kind of fault, on prompts it never heard (N= SEED= JOBS=)
# make relay   1000 calls through a relay that loses, delays and doubles packets, captured on both sides (CALLS= AT_ONCE= SEED=)
# make bench-index  a million recordings and a million ledger entries in SQLite and in PostgreSQL: what a question to the
#              index takes, and `ledger verify`; into build/bench-index.json (ROWS= and ENTRIES= for less)
# make soak    half an hour of 100 calls with holds and hang-ups at random (MINUTES= CALLS= SEED=)
# Where several Pythons are there: make PYTHON=/path/to/python3.12 ...

.NOTPARALLEL:
.PHONY: demo test test-evaluation lint venv install pjsip bench bench-index bench-keeping stop-latency chaos tap-cost trials relay soak clean
.DEFAULT_GOAL := demo

# most tests wait for sounds to pass: three processes for two cores
PYTEST_WORKERS ?= 3
RUN := .venv/bin/python -m
QUIET_PIP := pip install --quiet --disable-pip-version-check --no-input --progress-bar off
PIP := $(RUN) $(QUIET_PIP)

# an environment holds absolute paths: one that was moved or copied here is made anew
ifneq ($(shell cat .venv/.made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv/.made-in
endif
ifneq ($(shell cat .venv-eval/.made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv-eval/.made-in
endif

demo: .venv/.demo
	@.venv/bin/callrec demo

test:
	@deploy/test-setup.sh
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory pjsip
	@$(RUN) tests.again -n $(PYTEST_WORKERS) --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory test-evaluation

# the evaluation engine, which `make demo` installs, in an environment of its own: both import as pjsua2
test-evaluation: .venv-eval/.dev
	@.venv-eval/bin/python -m pytest tests/evaluation

lint: .venv/.dev
	@$(RUN) ruff check --quiet
	@$(RUN) ruff format --check --quiet || { echo "ruff format would change these files; run: .venv/bin/ruff format"; exit 1; }
	@$(RUN) mypy --no-error-summary
	@mkdir -p build && .venv/bin/lint-imports >build/lint-imports.log || { cat build/lint-imports.log; exit 1; }
	@echo "source: ruff, mypy and import-linter are content"

venv: pjsip

install: .venv/.demo

pjsip: .venv/.dev
	@PJPROJECT="$(PJPROJECT)" nice -n 19 deploy/pjsip/build.sh .venv/bin/python
	@deploy/pjsip/install.sh .venv/bin/python

.venv/.dev: pyproject.toml .venv/.made-in
	@echo "installing what callrec and its tests need into .venv"
	@$(PIP) -e '.[dev]' wheel
	@mkdir -p build
	@touch $@

# the evaluation engine only where no production engine is: it would be found first
.venv/.demo: pyproject.toml .venv/.made-in
	@echo "installing what callrec needs into .venv"
	@if [ -e .venv/.engine ]; then $(PIP) -e .; else $(PIP) -e '.[eval]'; fi
	@touch $@

.venv-eval/.dev: pyproject.toml .venv-eval/.made-in
	@echo "installing callrec with the evaluation engine into .venv-eval"
	@.venv-eval/bin/python -m $(QUIET_PIP) -e '.[eval,dev]'
	@touch $@

.venv/.made-in:
	@deploy/make-venv.sh "$(PYTHON)"

.venv-eval/.made-in:
	@deploy/make-venv.sh "$(PYTHON)" .venv-eval

# both raise the limit of open files themselves; Asterisk's rows come where its chroot is, or can be made
bench: pjsip
	@[ ! -x "$$(command -v debootstrap)" ] || [ "$$(id -u)" != 0 ] || deploy/asterisk/test-chroot.sh >/dev/null || true
	@$(RUN) tests.bench $(if $(RUNS),--runs $(RUNS)) $(if $(ROWS),--rows $(ROWS)) $(if $(SYSTEMS),--systems $(SYSTEMS)) $(if $(ADD),--add) $(if $(README),--readme)
	@$(if $(ROWS),,$(RUN) tests.notice.trials --n 1000 --jobs 2)

tap-cost: pjsip
	@$(RUN) tests.bench.tap

trials: .venv/.dev
	@$(RUN) tests.notice.trials $(if $(N),--n $(N)) $(if $(SEED),--seed $(SEED)) --jobs $(if $(JOBS),$(JOBS),2)

relay: pjsip
	@$(RUN) tests.relay $(if $(CALLS),--calls $(CALLS)) $(if $(AT_ONCE),--at-once $(AT_ONCE)) $(if $(SEED),--seed $(SEED))

bench-index: .venv/.dev
	@$(RUN) tests.bench.records $(if $(ROWS),--rows $(ROWS)) $(if $(ENTRIES),--entries $(ENTRIES))

soak: pjsip
	@$(RUN) tests.bench.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(CALLS),--calls $(CALLS)) $(if $(SEED),--seed $(SEED))

bench-keeping: .venv/.dev
	@$(RUN) tests.bench.keeping

stop-latency: pjsip
	@$(RUN) tests.bench.stops $(if $(STOPS),--stops $(STOPS)) $(if $(AT_ONCE),--at-once $(AT_ONCE)) $(if $(SEED),--seed $(SEED))

chaos: .venv/.dev
	@$(RUN) tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE))

clean:
	rm -rf --one-file-system .venv .venv-eval build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find callrec tests -name __pycache__ -type d -prune -exec rm -rf {} +
