# Every target starts from a bare clone: it makes .venv first, and again only when a dependency changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Files side by side on the cores that there are: much of the suite waits for servers and browsers. WORKERS=0 runs them one
# by one, in one process, for a debugger.
WORKERS ?= auto
PYTEST = $(BIN)/python -m pytest
SIDE_BY_SIDE = -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: audit bench-scale bench-dashboard bench-charts zoo zoo-torch bench-test-half bench-client bench-programs help demo serve test test-fast test-other-processor test-frameworks test-frameworks-all mutate lint fix bench bench-notifications bench-teamday bench-detection fit bench-repair bench-calibration bench-longruns openapi docs docs-curves soak clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

$(STAMP): pyproject.toml clients/python/pyproject.toml clients/logs/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Losswatch needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q -U "pip>=25.1" -c constraints.txt
	@$(BIN)/python -m pip install -q -c constraints.txt -e clients/python -e clients/logs -e . --group test --group lint
	@touch $@

demo: $(STAMP) ## train real models with real faults and watch them be diagnosed; KEEP=1 leaves the dashboard up
	@$(BIN)/losswatch-server demo $(if $(KEEP),--keep)

serve: $(STAMP) ## start the service on 127.0.0.1:8000
	@$(BIN)/losswatch-server serve

test: $(STAMP) ## run the whole suite
	@$(PYTEST) $(SIDE_BY_SIDE)

test-fast: $(STAMP) ## run what takes a minute: every part of the code, the property tests with few examples
	@$(PYTEST) -q $(SIDE_BY_SIDE) -m "not slow" --hypothesis-profile fast

COMPUTES := $(addprefix tests/, monitor cases demo benchmarks/detection benchmarks/repair docs/test_pictures.py)
test-other-processor: $(STAMP) ## run the tests that compute with other kernels, other mathematics and one thread
	@$(BIN)/python tests/other_processor.py -m pytest -q $(SIDE_BY_SIDE) --hypothesis-profile fast $(COMPUTES)

mutate: $(STAMP) ## change every threshold of the rules and drop every piece of evidence: what does no test notice? Can be stopped; ONLY=word, PART=1/4, SINCE=commit
	@cd tests && ../$(BIN)/python -m benchmarks.mutation $(if $(PART),--part $(PART)) $(if $(ONLY),"--only=$(ONLY)") $(if $(SINCE),--since $(SINCE))

FRAMEWORKS := .venv-frameworks
$(FRAMEWORKS)/.installed: constraints-frameworks.txt clients/python/pyproject.toml clients/logs/pyproject.toml
	@test -x $(FRAMEWORKS)/bin/python || $(PYTHON) -m venv $(FRAMEWORKS)
	@echo "installing torch and the frameworks into $(FRAMEWORKS) ..."
	@$(FRAMEWORKS)/bin/python -m pip install -q -c constraints-frameworks.txt -e clients/python -e clients/logs torch keras transformers accelerate lightning xgboost-cpu lightgbm scikit-learn jax optax flax equinox tensorboard tensorboardX mlflow-skinny pandas scipy pytest pytest-timeout hypothesis
	@touch $@

test-frameworks: $(STAMP) $(FRAMEWORKS)/.installed ## train tiny models in real frameworks: integrations, preflight, readers
	@OMP_NUM_THREADS=1 PYTHONPATH=service:tests $(FRAMEWORKS)/bin/python -m pytest tests/frameworks tests/benchmarks/detection/test_torch_zoo.py

test-frameworks-all: $(STAMP) $(FRAMEWORKS)/.installed ## the same with those that are large to install: CatBoost, TRL and fastai
	@$(FRAMEWORKS)/bin/python -m pip install -q -c constraints-frameworks.txt catboost trl
	@# without torchvision and spaCy, which fastai.vision and fastai.text need: a torchvision for another torch breaks both
	@$(FRAMEWORKS)/bin/python -m pip install -q -c constraints-frameworks.txt --no-deps fastai fastcore fastprogress fasttransform fastdownload plum-dispatch python-fasthtml
	@$(FRAMEWORKS)/bin/python -m pip install -q -c constraints-frameworks.txt matplotlib pandas pillow requests pyyaml beartype cloudpickle python-dateutil starlette python-multipart itsdangerous oauthlib beautifulsoup4 uvicorn httpx2
	@$(MAKE) --no-print-directory test-frameworks

soak: $(STAMP) ## kill the store a hundred times in the middle of posting, damage every column, try thousands of new examples and a million odd runs, ask four times too much for a minute
	@$(BIN)/python -m pytest -q --timeout 3000 tests/e2e/test_kill.py tests/e2e/test_replicas.py --kill-rounds 100
	@$(BIN)/python -m pytest -q --timeout 3000 tests/e2e/test_plug.py --plug-pulls 30
	@$(BIN)/python -m pytest -q --timeout 3000 -m hypothesis --hypothesis-profile soak
	@$(BIN)/python -m pytest -q --timeout 3000 tests/api/test_damaged_columns.py --all-damages
	@$(BIN)/python -m pytest -q --timeout 0 tests/monitor/test_odd_runs.py --odd-runs 1000000
	@$(BIN)/python -m pytest -q --timeout 3000 tests/api/test_every_request.py --hypothesis-profile soak
	@$(BIN)/python -m pytest -q --log-cli-level=INFO tests/e2e/test_flat.py --flat-minutes 60
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.overload 60

lint: $(STAMP) ## ruff, mypy --strict, import-linter, bandit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit -q -c pyproject.toml -r service clients/python/src clients/logs/src

audit: $(STAMP) ## known vulnerabilities of what is installed, where their data can be had
	@$(BIN)/python -m pip install -q -c constraints.txt --group audit
	@$(BIN)/python tests/audit.py

fix: $(STAMP) ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

PEERS := .venv-peers
$(PEERS)/.installed:
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing the servers that the service is compared with into $(PEERS) ..."
	@for peer in trackio==0.43.0 mlflow==3.17.2; do $(PEERS)/bin/python -m pip install -q $$peer || echo "$$peer cannot be installed here, and is left out"; done
	@touch $@

bench: $(STAMP) $(PEERS)/.installed ## speed: ingest beside an echo and other trackers, posts beside heavy work, the monitor alone; fills the page on performance (5 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.ingest --publish --peers $(PEERS)/bin/python
	@echo
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.ingest.databases
	@echo
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.monitor --publish
	@cd tests && ../$(BIN)/python -m docs --tables

bench-scale: $(STAMP) ## live runs that are carried in real time, on SQLite and PostgreSQL, and what more take; fills the page on scaling (4 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.scale --publish
	@cd tests && ../$(BIN)/python -m docs --tables

bench-notifications: $(STAMP) ## notifications: 200 rounds of kill -9, 200 timed messages (10 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.notifications

bench-teamday: $(STAMP) ## notifications: a day of a team, 250 runs of many kinds on a fast clock (3 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.teamday

zoo: $(STAMP) ## train what is missing of the bug zoo; HALF=develop or test alone, SIZE=1 seed a family; can be stopped (30 minutes)
	@cd tests && ../$(BIN)/python -m benchmarks.detection.kept $(HALF) $(if $(SIZE),--size $(SIZE))

zoo-torch: $(FRAMEWORKS)/.installed ## the same for the families in PyTorch (10 minutes)
	@cd tests && PYTHONPATH=../service ../$(FRAMEWORKS)/bin/python -m benchmarks.detection.kept $(HALF) --torch

bench-detection: $(STAMP) ## detection on the develop half, or on CORPUS=file.jsonl.gz: false alarms, recall, causes (10 minutes)
	@$(if $(CORPUS),,$(MAKE) --no-print-directory zoo HALF=develop)
	@cd tests && ../$(BIN)/python -m benchmarks.detection develop $(if $(SIZE),--size $(SIZE)) $(if $(CORPUS),--list --corpus $(abspath $(CORPUS))) --ways $(or $(WAYS),0.25)

bench-test-half: $(STAMP) ## detection on the test half, for publication: say WHY="..."; the look is written down (10 minutes)
	@$(MAKE) --no-print-directory zoo HALF=test SIZE=
	@cd tests && ../$(BIN)/python -m benchmarks.detection test --why "$(WHY)" --ways 0.5 --forecasts 2

fit: $(STAMP) ## fit what evidence tells of each cause on the zoo's develop half (15 minutes to fold its logs, then 2)
	@$(MAKE) --no-print-directory zoo HALF=develop
	@cd tests && OPENBLAS_NUM_THREADS=1 ../$(BIN)/python -m benchmarks.causes

bench-repair: $(STAMP) ## train faulty models, do what a report that is asked for advises, train again (5 minutes)
	@cd tests && ../$(BIN)/python -m benchmarks.repair --list --publish

bench-calibration: $(STAMP) ## false alarms on nine kinds of noise in which nothing is wrong (10 minutes)
	@cd tests && ../$(BIN)/python -m benchmarks.detection.calibration --publish

bench-dashboard: $(STAMP) ## the dashboard in a browser: a run of a million points, a list of 10,000, a hundred open pages (7 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.dashboard

bench-charts: $(STAMP) ## the dashboard's charts beside three libraries, which npm fetches into a temporary folder (4 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.dashboard.charts

TRACKERS := .venv-trackers
$(TRACKERS)/.installed: clients/python/pyproject.toml
	@test -x $(TRACKERS)/bin/python || $(PYTHON) -m venv $(TRACKERS)
	@echo "installing what the client is compared with into $(TRACKERS) ..."
	@$(TRACKERS)/bin/python -m pip install -q -e clients/python tensorboardX==2.6.5 trackio==0.43.0 wandb==0.31.0
	@touch $@

bench-client: $(STAMP) $(FRAMEWORKS)/.installed $(TRACKERS)/.installed ## what the client costs a training step, beside others and in each framework; fills the page on performance (6 minutes)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.client --publish --trackers $(TRACKERS)/bin/python --frameworks $(FRAMEWORKS)/bin/python
	@cd tests && ../$(BIN)/python -m docs --tables

bench-programs: $(STAMP) $(FRAMEWORKS)/.installed ## forty faulty PyTorch programs: is the true cause named first? (3 minutes)
	@cd tests && OMP_NUM_THREADS=1 PYTHONPATH=../service ../$(FRAMEWORKS)/bin/python -W ignore -m benchmarks.programs

bench-longruns: $(STAMP) ## reading a run of two million points, and going on with it (3 minutes)
	@cd tests && ../$(BIN)/python -m benchmarks.longruns

openapi: $(STAMP) ## write openapi.json anew
	@$(BIN)/losswatch-server openapi > openapi.json

docs: $(STAMP) ## write the documentation's pictures, figures and tables anew
	@cd tests && ../$(BIN)/python -m docs

docs-curves: $(STAMP) ## train anew the runs that the pictures show, then write the documentation
	@cd tests && ../$(BIN)/python -m benchmarks.pictures.curves
	@$(MAKE) docs

clean: ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
