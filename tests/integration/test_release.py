"""The files of a release."""

import hashlib
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from samtranslator.yaml_helper import yaml_parse

from local.sam import ROOT, find_python
from release.contents import package_template, write_project, zip_package
from run_recorder import __version__

TEMPLATE = (ROOT / "template.yaml").read_text()
APPLICATION = "AWS::ServerlessRepo::Application"
CODE = "function.zip"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    (package / "handler").mkdir(parents=True)
    (package / "handler" / "app.py").write_text("pass")
    (package / "six.py").write_text("six")
    return package


def test_application_has_the_version_of_the_code_and_files_that_there_are() -> None:
    application = yaml_parse(TEMPLATE)["Metadata"][APPLICATION]
    assert application["SemanticVersion"] == __version__
    assert application["SpdxLicenseId"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    for name in ("LicenseUrl", "ReadmeUrl"):
        assert (ROOT / application[name]).is_file()


def test_template_of_a_release_differs_in_the_code_of_the_functions_only() -> None:
    expected, packaged = yaml_parse(TEMPLATE), yaml_parse(package_template(TEMPLATE, CODE))
    del expected["Globals"]["Function"]["CodeUri"]
    functions = [each for each in expected["Resources"].values() if each["Type"] == "AWS::Serverless::Function"]
    assert len(functions) == 2
    for function in functions:
        assert function.pop("Metadata") == {"BuildMethod": "makefile"}
        function["Properties"]["CodeUri"] = CODE
    assert packaged == expected


@pytest.mark.parametrize("line", ["    CodeUri: src/\n", "      BuildMethod: makefile\n"])
def test_template_without_a_known_place_for_the_code_is_refused(line: str) -> None:
    with pytest.raises(SystemExit, match="expected CodeUri once"):
        package_template(TEMPLATE.replace(line, ""), CODE)


def test_zip_depends_on_names_and_contents_only(package: Path, tmp_path: Path) -> None:
    zip_package(package, tmp_path / "1.zip")
    os.utime(package / "six.py", (0, 0))
    (package / "six.py").chmod(0o600)
    zip_package(package, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with ZipFile(tmp_path / "1.zip") as archive:
        assert archive.read("handler/app.py") == b"pass"
        assert {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()} == {
            "handler/app.py": 0o644,
            "six.py": 0o644,
        }


def test_module_of_one_architecture_is_refused(package: Path, tmp_path: Path) -> None:
    (package / "fast.cpython-313-x86_64-linux-gnu.so").touch()
    with pytest.raises(SystemExit, match="for one architecture"):
        zip_package(package, tmp_path / "1.zip")


def test_project_of_the_function_needs_the_packages_that_ship(tmp_path: Path) -> None:
    write_project(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert [re.split(r"\W", text)[0] for text in project["dependencies"]] == ["aws", "boto3"]


def make_dist() -> dict[str, str]:
    """Make a release; return the checksum of each file by its name."""
    subprocess.run(["make", "dist"], cwd=ROOT, check=True)  # noqa: S607
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (ROOT / "dist").iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(find_python() is None, reason="NOT TESTED: the release, since python3.13 is not installed")
def test_release_is_complete_and_the_same_each_time() -> None:
    sums = make_dist()
    assert make_dist() == sums
    function = f"run-recorder-{__version__}-function"
    wheel = f"run_recorder-{__version__}-py3-none-any.whl"
    assert sums.keys() - {"SHA256SUMS"} == {
        "LICENSE", "README.md", "template.yaml", wheel, f"{function}.zip", f"{function}.cdx.json",
    }  # fmt: skip
    listed = dict(line.split("  ")[::-1] for line in (ROOT / "dist" / "SHA256SUMS").read_text().splitlines())
    assert listed.items() == sums.items() - {("SHA256SUMS", sums["SHA256SUMS"])}
    materials: dict[str, Any] = json.loads((ROOT / "dist" / f"{function}.cdx.json").read_bytes())
    shipped = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    found = {(part["purl"].partition("@")[0], part["version"]) for part in materials["components"]}
    assert found == {(f"pkg:pypi/{name}", version) for name, version in shipped}
    assert (materials["metadata"]["component"]["version"], "serialNumber" in materials) == (__version__, False)
