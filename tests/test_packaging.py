"""What is written beside the code (environment, citation, changes, licences) says what the code's own files say."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
DATA = {".csv", ".txt", ".npz"}


@pytest.fixture(scope="module")
def locked():
    """The version that requirements.lock has of each package."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_the_lock_pins_every_package_to_one_version(locked):
    assert locked
    assert all(re.fullmatch(r"==[^*,]+", pinned) for pinned in locked.values())


@pytest.mark.parametrize("text", REQUIRED)
def test_what_the_project_needs_is_locked_to_a_version_that_it_takes(text, locked):
    needed = Requirement(text)
    assert needed.specifier.contains(locked[canonicalize_name(needed.name)].removeprefix("=="))


def test_condas_environment_installs_the_lock_and_the_package_and_nothing_else(environment):
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "--editable ."]


def test_condas_python_is_one_that_the_project_takes(environment):
    (python,) = (
        entry
        for entry in environment["dependencies"]
        if isinstance(entry, str) and entry.startswith("python=")
    )
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python.removeprefix('python=')}.0")


def test_the_citation_has_what_its_format_requires_and_the_projects_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]["text"]


def test_the_changelog_has_the_projects_version():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert PROJECT["version"] in headings


def test_every_data_file_and_every_kept_run_has_its_origin_and_licence():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: what is published is not known")
    files = [Path(line) for line in listed.stdout.splitlines()]
    runs = {"/".join(file.parts[:2]) for file in files if file.parts[0] == "results"}
    data = {str(file) for file in files if file.suffix in DATA and file.parts[0] != "results"}
    named = re.findall(r"`([^`]+)`", (ROOT / "docs" / "data.md").read_text())
    assert {"results/reference", "data_prep/sentences.txt"} <= runs | data
    assert not [run for run in runs if not any(name.startswith(run) for name in named)]
    assert not [file for file in data if not any(Path(file).match(name) for name in named)]
