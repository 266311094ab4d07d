# The commands of the README. A stamp file marks what is installed, so that a second run never calls pip.
PYTHON ?= python3
IMAGE ?= docs/sample.jpg
OUT ?= out
BIN := .venv/bin
EXTRAS := dev,train,data,report,diffusion,faces,video,export,demo
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Threads that spin while another process works make two busy processes many times slower.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: localize test test-all lint format typecheck clean

localize: .venv/.core
	@$(BIN)/ifl-hub localize "$(IMAGE)" --out "$(OUT)" $(if $(MODEL),--model "$(MODEL)")

test: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" -n auto

test-all: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: .venv/.dev
	$(BIN)/mypy

clean:
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.core: pyproject.toml constraints-ci.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "The venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing once: about 1.3 GB, two minutes"
	@test -z "$(TORCH_INDEX)" || $(PIP) install --quiet --index-url "$(TORCH_INDEX)" torch==2.13.0
	@$(PIP) install --quiet -c constraints-ci.txt -e .
	@touch $@

.venv/.dev: .venv/.core
	@echo "Installing the development extras once: about 0.6 GB, one minute"
	@$(PIP) install --quiet -c constraints-ci.txt -e ".[$(EXTRAS)]"
	@touch $@
