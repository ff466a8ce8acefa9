# muonstream: `make demo` and `make test` each do everything, on a machine with Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := .venv-lock
LOWEST := .venv-lowest
# what touches the libraries most: types of numpy, kernels of numba, models, the page's server, the command line
LOWEST_TESTS := tests/detector tests/test_words.py tests/formats/test_binary.py tests/run/test_snapshot_codec.py \
  tests/offline tests/tables tests/dashboard/test_api.py tests/dashboard/test_metrics.py tests/cli/test_errors.py

# The versions in constraints.txt hold for what is installed and for what builds it (build isolation). The path is
# relative: pip splits these variables at spaces, and a checkout's path may have some.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Many a laboratory's set-up script puts other packages in the way.
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help demo test coverage check format docs test-lowest release release-test image bench bench-spark scaling soak fuzz fuzz-coverage kafka course lock clean
.DELETE_ON_ERROR:

help:  ## say what can be made (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo  ## start a simulated telescope and its live page (DURATION=20 ends it after 20 s)
	$(BIN)/muonstream demo $(if $(DURATION),--duration $(DURATION))

test: $(VENV)/.test  ## run every check and test that this machine can run, and name what it lacks
	$(BIN)/python -m tools.test

coverage: $(VENV)/.test  ## run the same with the tests' coverage, which takes longer
	$(BIN)/python -m tools.test --coverage

check: $(VENV)/.test  ## run the quick part of that: lint, format, types
	$(BIN)/python -m tools.test --quick

format: $(VENV)/.test  ## put the code in the project's format, and mend what lint can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/.test  ## make the documents a site, in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test-lowest:  ## run some tests with the oldest versions of its dependencies that are allowed, in .venv-lowest
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m tools.lowest hist kafka zstd toml tables root > $(LOWEST)/constraints.txt
	PIP_CONSTRAINT=$(LOWEST)/constraints.txt PIP_BUILD_CONSTRAINT= $(LOWEST)/bin/python -m pip install --quiet \
	  --editable '.[hist,kafka,zstd,toml,tables,root]' pytest hypothesis httpx playwright axe-playwright-python
	$(LOWEST)/bin/muonstream process --help > /dev/null
	$(LOWEST)/bin/python -m pytest -q -p no:cacheprovider -W ignore::DeprecationWarning $(LOWEST_TESTS)

release: $(VENV)/.test  ## build wheel and source archive twice, the same bytes, with check sums, licences and SBOM, in dist
	$(BIN)/python -m tools.artefacts dist

release-test: $(VENV)/.test  ## build, install and try the wheel with each extra, and run the tests that CI leaves out (marked long)
	$(BIN)/python -m tools.release
	$(BIN)/python -m tools.extras
	$(BIN)/python -m tools.schemas
	$(BIN)/python -m tools.test -m long

image: $(VENV)/.test  ## build the image of a container with Docker, and run what its page on deployment promises
	$(BIN)/python -m tools.image

bench: $(VENV)/.test  ## run the benchmarks, print each with its ratio
	$(BIN)/python -m benchmarks

bench-spark: $(VENV)/.test  ## run the benchmarks with Spark: half an hour on two quiet cores (QUICK=1 to see that they run)
	$(BIN)/python -m benchmarks.bench_spark $(if $(QUICK),--quick)

scaling: $(VENV)/.test  ## measure how the engine on Spark scales, write docs/scaling.md's tables and pictures (QUICK=1)
	$(BIN)/python -m benchmarks.spark_scaling $(if $(QUICK),--quick)

soak: $(VENV)/.test  ## count 20 M words in Kafka in all ways, on both engines, and compare; then play 5,000 seeds (WORDS, SEEDS)
	$(BIN)/python -m tools.soak $(if $(WORDS),--words $(WORDS))
	$(BIN)/python -m tools.deterministic --seeds $(or $(SEEDS),5000)

fuzz: $(VENV)/.test  ## misuse the intake: 20,000 mutated files of every format, 10 minutes (RUNS=1000, SEED=1)
	$(BIN)/python -m tools.intake_fuzz $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

fuzz-coverage: $(VENV)/.test  ## fuzz each parser and decoder for a minute, guided by coverage (SECONDS=3600 for hours of it)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tools.coverage_fuzz $(if $(SECONDS),--seconds $(SECONDS))

kafka: $(VENV)/.test  ## start a Kafka broker on this machine (PORT=9092; its data stay in .kafka/data)
	$(BIN)/python -m tools.kafka_broker $(if $(PORT),--port $(PORT))

course: $(VENV)/.test  ## start the course's system: Kafka, Spark cluster, producer, engine, page (DURATION=60, RATE=5000, TRIGGER=5s)
	$(BIN)/python -m tools.course $(if $(DURATION),--duration $(DURATION)) $(if $(PORT),--port $(PORT)) \
	  $(if $(RATE),--rate $(RATE)) $(if $(TRIGGER),--trigger $(TRIGGER))

lock:  ## write constraints.txt anew, with the newest versions (needs Python 3.11, the oldest supported)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "make lock: needs Python 3.11, so that the versions suit all that are supported: make lock PYTHON=python3.11" >&2; exit 1; }
	rm -rf $(LOCK)
	$(PYTHON) -m venv $(LOCK)
	PIP_CONSTRAINT= PIP_BUILD_CONSTRAINT= $(LOCK)/bin/python -m pip install --quiet --upgrade pip
	PIP_CONSTRAINT= PIP_BUILD_CONSTRAINT= $(LOCK)/bin/python -m pip install --quiet hatchling editables '.[hist,toml,remote,kafka,zstd,spark,test,docs,dev,fuzz]'
	{ echo "# Exact versions of all that is installed, and of what builds it. Written by 'make lock'; do not edit."; \
	  $(LOCK)/bin/python -m pip freeze --all --exclude muonstream --exclude setuptools; } > $(LOCK)/constraints.txt
	mv $(LOCK)/constraints.txt constraints.txt
	$(LOCK)/bin/python -m tools.hashed
	rm -rf $(LOCK)

clean:  ## remove the virtual environment and all that was built
	rm -rf $(VENV) $(LOCK) $(LOWEST) .kafka .spark .jsroot .promtool .schemas build dist out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make: needs Python 3.11 or newer, found $$($(PYTHON) --version 2>&1 || true); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) has no venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Python compiles what is imported; compiling all of it at once takes longer than installing it.
$(VENV)/.test: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[hist,toml,remote,kafka,zstd,spark,test,docs,dev]'
	@touch $@ $(VENV)/.demo
