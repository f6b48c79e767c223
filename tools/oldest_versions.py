"""Print the lowest versions that pyproject.toml names, as requirements for pip.

``make test-oldest`` installs them: the dependencies, and those of the extra ``test``.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[(?P<extras>[\w,-]+)\])?(>=(?P<lowest>[\d.]+))?")


def oldest_versions(project: dict, extra: str | None = None) -> Iterator[str]:
    """Requirements of the form name==version.

    Parameters
    ----------
    project : dict
        The table ``project`` of pyproject.toml.
    extra : str, default=None
        Extra whose requirements are wanted; None means those that are always installed.

    Yields
    ------
    requirement : str

    Raises
    ------
    ValueError
        If a requirement has another form than ``name>=version``.
    """
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    for requirement in listed:
        found = REQUIREMENT.fullmatch(requirement)
        if found and found["name"] == project["name"] and found["extras"]:
            for other in found["extras"].split(","):
                yield from oldest_versions(project, other)
        elif found and found["lowest"]:
            yield f"{found['name']}=={found['lowest']}"
        else:
            raise ValueError(f"{requirement!r} is not of the form 'name>=version'.")


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    print(*oldest_versions(project), *oldest_versions(project, "test"))
