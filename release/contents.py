"""The contents of the files of a release, where the project decides them itself."""

import json
import re
import tomllib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from run_recorder import __version__

_SOURCE = re.compile(r"^    CodeUri: src/\n", re.MULTILINE)
_BUILD = re.compile(r"^    Metadata:\n      BuildMethod: makefile.*\n    Properties:\n", re.MULTILINE)
_FUNCTIONS = 2
_COMPILED = {".so", ".pyd", ".dylib"}


def zip_package(package: Path, file: Path) -> None:
    """Write a package to a zip that depends on the names and contents of its files alone.

    Raises:
        SystemExit: the package has a module for one architecture only.
    """
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for path in sorted(package.rglob("*")):
            if path.suffix in _COMPILED:
                raise SystemExit(f"{path.name} is for one architecture: the release has one zip for all of them")
            if path.is_file():
                entry = ZipInfo(path.relative_to(package).as_posix())  # its time is 1980
                entry.create_system = 3  # Unix, whose modes Lambda reads
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes(), ZIP_DEFLATED)


def package_template(template: str, code: str) -> str:
    """Return the template with a zip beside it as the code of the functions, which need no build then.

    Raises:
        SystemExit: the code of the functions is not where it is expected.
    """
    # Not under Globals, which `aws cloudformation package` does not read.
    packaged, functions = _BUILD.subn(f"    Properties:\n      CodeUri: {code}\n", template)
    packaged, sources = _SOURCE.subn("", packaged)
    if (functions, sources) != (_FUNCTIONS, 1):
        raise SystemExit("template.yaml: expected CodeUri once, under Globals, and BuildMethod for each function")
    return packaged


def write_project(project: Path, target: Path) -> None:
    """Write the metadata of the function as a project of its own: the packages that it needs are those of a group."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    lines = {
        "name": content["project"]["name"],
        "version": __version__,
        "description": "The Lambda functions of Run Recorder",
        "license": content["project"]["license"],
        "dependencies": content["dependency-groups"]["lambda"],
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    target.write_text(f"[project]\n{text}", encoding="utf-8")
