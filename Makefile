# `make demo` shows the whole thing, `make test` proves it. Everything runs from a virtual environment made here.
.DELETE_ON_ERROR:
.PHONY: demo down test test-unit drill check bench bench-rating bench-reading soak lock clean

VENV ?= .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
SECONDS ?= 600
SEED ?=

demo: $(INSTALLED)
	$(PYTHON) deploy/demo/run.py

down: $(INSTALLED)
	$(VENV)/bin/metering dev down

# Unit, integration and fault tests, on a real Kafka and a real Postgres: a pair of servers per processor, up to four.
test: $(INSTALLED)
	$(PYTHON) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-unit: $(INSTALLED)
	$(PYTHON) -m pytest tests/unit

# Faults on the whole service, a Prometheus that looks, and a table of which alert fired when. NAME=no_worker: that one alone.
drill: $(INSTALLED)
	$(PYTHON) -m pytest tests/drills -m drill -k "$(or $(NAME),test)"

check: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m schemas.generate --check
	$(PYTHON) -m metering.api.openapi --check
	$(PYTHON) -m deploy.observability.dashboards --check
	@# Where packages come from is each machine's own business (brackets: so that this line is no match).
	! git grep -nIE 'p[y]pi\.org|python[h]osted|re[p]o1?\.maven|central\.sona[t]ype|--(extra-)?inde[x]-url |--find-link[s] '

bench: $(INSTALLED)
	$(PYTHON) load/bench.py

bench-rating: $(INSTALLED)
	$(PYTHON) load/rating.py

bench-reading: $(INSTALLED)
	$(PYTHON) load/reading.py

# Faults at random until SECONDS have gone by; the same SEED repeats the same faults.
soak: $(INSTALLED)
	SECONDS=$(SECONDS) SEED=$(SEED) $(PYTHON) load/soak.py

# Pin every package and its hashes anew, at the newest versions that pyproject.toml allows.
PIN := CUSTOM_COMPILE_COMMAND='make lock' $(VENV)/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: $(INSTALLED)
	$(PIN) --output-file requirements/runtime.txt pyproject.toml
	$(PIN) --extra dev-stack --extra test --build-deps-for editable --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(INSTALLED): requirements/dev.txt pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
