.PHONY: install test test-oldest test-newest soak coverage lint types format docs browse linkcheck wheel clean

# In two processes, as in README.
PYTEST = python -m pytest -n 2 --dist loadfile

# What `make test-newest` installs beside the newest versions, for instance NEWEST="torch==2.13.0".
NEWEST =

install:
	pip install -c constraints.txt -e ".[plot,test,lint,docs,ci]"

test:
	$(PYTEST)

# The lowest versions that pyproject.toml names. That they use each other in a way that has been
# deprecated since is not a fault here.
test-oldest:
	python -m venv --clear .venv-oldest
	.venv-oldest/bin/pip install -q -e ".[test]" $$(python tools/oldest_versions.py)
	.venv-oldest/bin/$(PYTEST) -W default::DeprecationWarning

test-newest:
	python -m venv --clear .venv-newest
	.venv-newest/bin/pip install -q -e ".[test]" $(NEWEST)
	.venv-newest/bin/$(PYTEST)

soak:
	python -m pytest -m soak

coverage:
	coverage run -m pytest
	coverage report

lint:
	ruff check .
	ruff format --check .
	codespell

types:
	mypy

format:
	ruff check --fix .
	ruff format .

docs:
	sphinx-build -W --keep-going -b html docs docs/_build/html
	python tools/check_site.py docs/_build/html

# Open every page of what `make docs` built in Chromium, which has to be installed.
browse:
	python tools/check_site.py docs/_build/html --screenshots docs/_build/screenshots

# Whether the pages that the documentation links to are there; needs a network.
linkcheck:
	sphinx-build -b linkcheck docs docs/_build/linkcheck

# Build, then see that the quickstart runs with the wheel alone, outside of this folder.
wheel:
	rm -rf dist
	python -m build
	twine check --strict dist/*
	python -m venv --clear .venv-wheel
	.venv-wheel/bin/pip install -q -c constraints.txt "$$(echo dist/*.whl)[plot]"
	cp examples/quickstart.py .venv-wheel
	cd .venv-wheel && MPLBACKEND=Agg bin/python quickstart.py

clean:
	rm -rf docs/_build docs/auto_examples docs/api/generated docs/gen_modules
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .venv-oldest .venv-newest .venv-wheel .coverage
	rm -f docs/sg_execution_times.rst
