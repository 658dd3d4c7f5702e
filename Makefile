# make lab, make test: everything else is for those who maintain or teach the course. `make help` lists it.
# Variables: NB=01 (one notebook), PORT=8888 (of JupyterLab), FOLDER=submissions (to grade), PYTHON=python3.11 (that makes .venv), FULL=1 (tests: every
# lesson in the long ways), NEWEST=1 (.venv: the newest packages instead of the pinned ones).
PYTHON ?= python3
NB ?=
PORT ?=
FOLDER ?= submissions

ifeq ($(OS),Windows_NT)
RUN := .venv/Scripts/python.exe
else
RUN := .venv/bin/python
endif

.PHONY: help setup lab run test build instructor grade slides pages site wheels bench release clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup:  ## make .venv and install the pinned packages; does nothing where that was done
	@$(PYTHON) tools/environment.py

lab: setup  ## open JupyterLab on notebooks/ (PORT=8888)
	@$(RUN) tools/lab.py $(PORT)

run: setup  ## execute the notebooks, with time and memory of each; copies and HTML in build/run (NB=01)
	@$(RUN) tools/run.py $(NB)

test: setup  ## everything that CI checks (NB=01: one notebook)
	@$(RUN) tools/suite.py $(NB)

build: setup  ## notebooks from notebooks/src, executed; then CLAIMS.md, GLOSSARY.md and the tables of lessons (NB=01)
	@$(RUN) tools/lesson_map.py
	@$(RUN) tools/notebooks.py build $(NB)
	@$(RUN) tools/notebooks.py claims
	@$(RUN) tools/glossary.py

instructor: setup  ## the solved notebooks and lesson plans, in build/instructor (NB=01)
	@$(RUN) tools/notebooks.py instructor $(NB)

grade: setup  ## grade the notebooks in FOLDER=submissions: results.csv, feedback and a picture in build/grade
	@$(RUN) tools/grade.py $(FOLDER)

slides: setup  ## reveal.js decks that work offline, in build/slides (NB=01)
	@$(RUN) tools/notebooks.py slides $(NB)

pages: setup  ## pages whose views live without a kernel, in build/pages (NB=01)
	@$(RUN) tools/notebooks.py pages $(NB)

site: setup  ## the course as a website without a kernel or a network, in build/site (NB=01)
	@$(RUN) tools/website.py $(NB)

wheels: setup  ## a folder of wheels for a class without a network, in build/wheels
	@$(RUN) tools/wheels.py

bench: setup  ## speeds, as ratios measured side by side
	@$(RUN) tools/bench.py

release: setup  ## tag an edition whose badges and set-up cells name it (VERSION=v2.0)
	@$(RUN) tools/release.py $(VERSION)

clean:  ## remove what was built; .venv stays
	@$(PYTHON) -c "import shutil; [shutil.rmtree(d, ignore_errors=True) for d in ('build', '.pytest_cache', '.ruff_cache', '.hypothesis')]"
