# make demo: set up .venv, then run the main job on the bundled model
# make test: set up .venv, then every check that CI runs
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# Kernels for GPUs are compiled by NVRTC, which needs no GPU. Artifacts are linked by a C compiler, of which one comes as
# a wheel.
EXTRAS := test,cuda,cross,npu
# Asks for an older onnx than ours, but works beside it.
TOSA_TOOLS := tosa-tools==2026.8.0

.PHONY: demo test lint clean

demo: $(INSTALLED)
	$(BIN)/tvmopt demo

test: lint
	$(BIN)/python -m pytest -n 2 $(PYTEST_FLAGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tvmopt needs Python 3.10 or newer: make PYTHON=python3.12" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps $(TOSA_TOOLS)
	touch $@
