"""Workflows, Makefile, templates and metadata agree with each other."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

import margin_sklearn
from margin_sklearn.representation import DOCUMENTATION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
RECIPES = {
    target: [line.strip() for line in recipe.splitlines()]
    for target, recipe in re.findall(
        r"^([\w-]+):\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M
    )
}
oldest_versions = runpy.run_path(str(ROOT / "tools" / "oldest_versions.py"))["oldest_versions"]


def commands(job):
    """What a job runs, with the values of its matrix."""
    for step in job["steps"]:
        for target in job["strategy"]["matrix"].get("target", [""]):
            yield step.get("run", "").replace("${{ matrix.target }}", target)


COMMANDS = {run for job in WORKFLOW["jobs"].values() for run in commands(job) if run}


def test_the_workflow_runs_what_can_be_run_in_a_clone():
    targets = {run.removeprefix("make ") for run in COMMANDS if run.startswith("make ")}
    assert {".ci/run", *(f"make {target}" for target in targets)} == COMMANDS
    assert targets == {"install", "docs", "wheel", "coverage", "test-oldest", "test-newest"}
    assert targets <= set(RECIPES)
    # YAML 1.1 reads the key "on" as a boolean.
    assert set(WORKFLOW[True]) == {"push", "pull_request"}


def test_the_script_of_the_workflow_runs_the_commands_of_the_makefile():
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert set(RECIPES["lint"] + RECIPES["types"]) <= set(script)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert RECIPES["test"] == ["$(PYTEST)"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [command] = re.findall(r"^PYTEST = (.*)$", makefile, re.M)
    assert readme.count(f"&& {command}\n") == 1


def test_every_target_is_declared_phony():
    [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert set(phony.split()) == set(RECIPES)


def test_the_workflow_tests_the_versions_of_python_that_are_named():
    tested = WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: "
    named = [
        name.removeprefix(prefix) for name in PROJECT["classifiers"] if f"{prefix}3." in name
    ]
    assert tested == named
    assert PROJECT["requires-python"] == f">={tested[0]}"
    [setup] = [step["with"] for step in WORKFLOW["jobs"]["others"]["steps"] if "with" in step]
    assert setup["python-version"] == tested[0]


def test_oldest_versions_are_those_of_all_that_the_tests_need():
    found = [*oldest_versions(PROJECT), *oldest_versions(PROJECT, "test")]
    lowest = dict(requirement.split("==") for requirement in found)
    assert {"torch", "scikit-learn", "matplotlib", "skops", "dask", "pytest"} <= set(lowest)
    assert "margin-sklearn" not in lowest
    for requirement in PROJECT["dependencies"]:
        assert requirement.replace(">=", "==") in found


@pytest.mark.parametrize("requirement", ["torch", "torch>2", "torch==2.5", "torch>=2,<3", ""])
def test_requirements_without_a_lowest_version_are_refused(requirement):
    with pytest.raises(ValueError, match=f"'{re.escape(requirement)}' is not of the form"):
        [*oldest_versions({"name": "margin-sklearn", "dependencies": [requirement]})]


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == margin_sklearn.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    assert citation["references"][0]["url"].rpartition("/")[2] == "2107.10199"


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_templates_have_what_they_need(name):
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    template = yaml.safe_load(path.read_text("utf-8"))
    assert {"name", "description", "body"} <= set(template)
    identifiers = [part["id"] for part in template["body"]]
    assert len(set(identifiers)) == len(identifiers) > 0
    assert all(part["attributes"]["label"] for part in template["body"])


def test_one_address_of_the_repository():
    texts = [PROJECT["urls"][name] for name in PROJECT["urls"]]
    paths = [ROOT / "SECURITY.md", ROOT / "CITATION.cff", *ROOT.glob(".github/**/*.*")]
    texts += [path.read_text("utf-8") for path in paths if path.is_file()]
    found = set(re.findall(r"https://github\.com/([\w-]+/[\w-]+)", "\n".join(texts)))
    assert found == {"margin-sklearn/margin-sklearn"}


def test_templates_and_security_name_what_exists():
    bug = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text("utf-8")
    assert "margin_sklearn.show_versions()" in bug
    for name in ("show_versions", "save", "load"):
        assert f"`margin_sklearn.{name}" in (ROOT / "SECURITY.md").read_text("utf-8")
        assert hasattr(margin_sklearn, name)
    request = (ROOT / ".github" / "pull_request_template.md").read_text("utf-8")
    [targets] = re.findall(r"`make ([a-z ]+)` passes", request)
    assert set(targets.split()) <= set(RECIPES)


def test_constraints_are_sorted_and_single_and_hold_what_is_named():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert pinned == sorted(pinned, key=str.lower)
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in pinned]
    assert len(set(names)) == len(names)
    extras = [
        requirement
        for extra in PROJECT["optional-dependencies"].values()
        for requirement in extra
        if not requirement.startswith("margin-sklearn")
    ]
    for requirement in PROJECT["dependencies"] + extras:
        assert re.match(r"[\w-]+", requirement)[0].lower() in names


def test_representations_link_to_the_documentation_that_is_published():
    assert PROJECT["urls"]["Documentation"] == DOCUMENTATION
    site = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text("utf-8"))
    runs = [step.get("run") for step in site["jobs"]["publish"]["steps"]]
    assert "make docs" in runs
