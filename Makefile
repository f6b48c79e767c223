.PHONY: install test lint types format docs clean

install:
	pip install -c constraints.txt -e ".[plot,test,lint,docs]"

test:
	python -m pytest

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

clean:
	rm -rf docs/_build docs/auto_examples docs/api/generated docs/gen_modules
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f docs/sg_execution_times.rst
