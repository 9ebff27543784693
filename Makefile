# make demo | test | lowest | lint | coverage | docs | models | screenshots | figures | clean   Python >= 3.11; the rest is set up in .venv.

PYTHON ?= python3

# On Linux without an NVIDIA GPU this build of PyTorch is installed first: a bare `torch` may fetch gigabytes of CUDA
# libraries. A CPU build (2.13.0+cpu) is preferred wherever pip finds one, so point PIP_EXTRA_INDEX_URL or
# PIP_FIND_LINKS at an index or a folder that has it.
TORCH_CPU ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check

# The lowest versions that pyproject.toml declares, in an environment of their own.
LOWEST := .venv-lowest
# What builds the site, too: a small one, without PyTorch and napari.
DOCS := .venv-docs

LINUX := $(filter Linux,$(shell uname -s))

# Tests and pictures always use a virtual display on Linux: no windows pop up, and every screen has the same size. Tests
# start theirs by themselves (pytest-xvfb), one for each process.
ifneq ($(LINUX),)
ON_X := env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb
XVFB := $(ON_X) xvfb-run -a -s "-screen 0 1920x1200x24"
NO_DISPLAY := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,yes)
endif

LOWEST_TESTS := tests/inference tests/io tests/layers tests/models tests/nets tests/objects tests/projects tests/tiling \
	tests/cli tests/test_api.py tests/test_packaging.py tests/gui/test_main_job.py

SHIPPED := nuclei cells cells_phase nuclei3d axons

# Without a display, or with DEMO_HEADLESS=1, the demo runs by itself and leaves pictures and a report.
HEADLESS := $(NO_DISPLAY)$(filter-out 0 no false,$(DEMO_HEADLESS))

.PHONY: demo test lowest checks lint ruff format mypy imports typos pyproject workflows wheel pyside pytest coverage \
	docs models screenshots figures clean

demo: $(VENV)/.demo
	@sh tools/system_libs.sh window $(if $(HEADLESS),xvfb)
	$(if $(HEADLESS),$(XVFB) $(BIN)/napari-unet demo --headless -o demo,$(BIN)/napari-unet demo -o demo)

# Make 4, which macOS has not, can print what each check says in one piece.
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Every check runs even if one before it failed; pytest comes last, so that its closing line ends the output.
test: $(VENV)/.test
	@sh tools/system_libs.sh window xvfb
	@status=0; \
	$(MAKE) --no-print-directory --keep-going -j 2 $(WHOLE) checks pyside || status=1; \
	$(MAKE) --no-print-directory pytest || status=1; \
	if [ $$status != 0 ]; then echo "make test: FAILED (lines with *** name what failed)" >&2; fi; \
	exit $$status

checks: lint wheel

lint: ruff format mypy imports typos pyproject workflows

ruff: $(VENV)/.test
	$(BIN)/ruff check .

format: $(VENV)/.test
	$(BIN)/ruff format --check .

mypy: $(VENV)/.test
	$(BIN)/mypy

imports: $(VENV)/.test
	$(BIN)/lint-imports

typos: $(VENV)/.test
	$(BIN)/typos

pyproject: $(VENV)/.test
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/pre-commit validate-config

workflows: $(VENV)/.test
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet .github

wheel: $(VENV)/.test
	$(BIN)/python tools/check_wheel.py

# Tests in a window wait for it now and then: one process more than two cores takes no time from the others.
WORKERS ?= 3
TESTS := OMP_NUM_THREADS=1 NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1 $(ON_X)

# With COVER=1, as in the GitHub workflow, all tests together also say how much of the program they ran, before pytest's
# closing line. Else they do not: before Python 3.12 it takes half as much time again.
COVERAGE := $(if $(PYTEST_ARGS),,$(if $(COVER),--cov --cov-report=))

pytest: $(VENV)/.test
	$(TESTS) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(COVERAGE) $(PYTEST_ARGS)

# Which lines all tests leave out.
coverage: $(VENV)/.test
	@sh tools/system_libs.sh window xvfb
	-$(MAKE) --no-print-directory pytest COVER=1
	$(BIN)/coverage report --show-missing --skip-covered --sort=miss

# The main job in a window of the other Qt binding.
pyside: $(VENV)/.test
	QT_API=pyside6 PYTEST_QT_API=pyside6 $(TESTS) $(BIN)/python -m pytest tests/gui/test_main_job.py $(PYTEST_ARGS)

# What depends on other packages, and a window, with the oldest ones that are declared to do. Old releases warn of what
# came after them, which says nothing; MONAI is no dependency.
lowest: $(LOWEST)/.ready
	@sh tools/system_libs.sh window xvfb
	@$(LOWEST)/bin/python -m pip list --disable-pip-version-check
	$(TESTS) $(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist worksteal -o filterwarnings=default --disable-warnings \
		--ignore tests/tiling/test_monai.py $(LOWEST_TESTS) $(PYTEST_ARGS)

# The documents as a site, in site/: a warning (a link that leads nowhere, a page without a place) is an error.
docs: $(DOCS)/.ready
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	@echo "Open site/index.html; with the search: $(PYTHON) -m http.server -d site"

models:
	@echo "The shipped models are made with these commands, an hour or more each on a CPU; recipes/README.md says what"
	@echo "DATA holds. Training that was interrupted goes on where it was."
	@for name in $(SHIPPED); do \
	  echo "  $(BIN)/python recipes/$$name.py train --data DATA && $(BIN)/python recipes/$$name.py finish --data DATA"; \
	done
	@echo "The patches that some of them carry along are written by 'replay' in the place of 'finish'."

screenshots: $(VENV)/.demo
	@sh tools/system_libs.sh window xvfb
	$(XVFB) $(BIN)/python docs/make_screenshots.py
	$(XVFB) $(BIN)/python docs/make_strip.py
	$(XVFB) $(BIN)/python docs/make_film.py

figures: $(VENV)/.test
	$(BIN)/python docs/make_tutorial_figures.py
	$(BIN)/python docs/make_learning_figures.py
	$(BIN)/python docs/make_imports_picture.py
	$(BIN)/python docs/make_sentences.py
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf $(VENV) $(LOWEST) $(DOCS) site demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find src tests tools recipes docs -name __pycache__ -type d -prune -exec rm -rf {} +

# -- The environment. A stamp is touched when its step is done, so nothing is set up twice.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	  echo "Name another one, for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@PYTHON="$(PYTHON)" sh tools/system_libs.sh venv
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	@if [ -n "$(LINUX)" ] && ! command -v nvidia-smi >/dev/null 2>&1; then \
	  echo "Installing PyTorch for CPU ($(TORCH_CPU)), some hundred megabytes"; \
	  $(BIN)/python $(PIP) "$(TORCH_CPU)"; fi
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	@echo "Installing the plugin and napari, a minute or two"
	@$(BIN)/python $(PIP) --editable ".[all]"
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	@echo "Installing the plugin, napari and the tools for testing, a minute or two"
	@$(BIN)/python $(PIP) --editable ".[all,test,dev]"
	@touch $(VENV)/.demo $@

$(LOWEST)/.ready: $(VENV)/.test tools/lowest.py
	@echo "Installing the lowest versions that are declared, a minute or two"
	@$(PYTHON) -m venv $(LOWEST)
	@$(BIN)/python tools/lowest.py all test tiff > $(LOWEST)/requirements.txt
	@$(LOWEST)/bin/python $(PIP) "$(TORCH_CPU)" --requirement $(LOWEST)/requirements.txt
	@$(LOWEST)/bin/python $(PIP) --no-deps --editable .
	@touch $@

$(DOCS)/.ready: pyproject.toml tools/extra.py
	@PYTHON="$(PYTHON)" sh tools/system_libs.sh venv
	@echo "Installing what builds the site, half a minute"
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python tools/extra.py docs > $(DOCS)/requirements.txt
	@$(DOCS)/bin/python $(PIP) --requirement $(DOCS)/requirements.txt
	@touch $@
