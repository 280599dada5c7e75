"""The declared dependencies are the imported packages: one that only a dependency requires could disappear."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("certs", "webhook")


def imported() -> set[str]:
    """The first names of all modules that this project's import."""
    names = set[str]()
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - set(PACKAGES)


def test_the_dependencies_are_those_that_are_imported_each_with_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [Requirement(line) for line in project["dependencies"]]
    assert all(any(each.operator == ">=" for each in one.specifier) for one in declared)
    providers = packages_distributions()
    needed = {canonicalize_name(name) for module in imported() for name in providers[module]}
    assert needed == {canonicalize_name(one.name) for one in declared}
