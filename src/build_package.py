"""Make the package that Lambda unpacks to ``/var/task``; src/Makefile runs it.

Of our own modules it holds those that the entry points import, directly or not, and no other: not the command line,
which needs packages that Lambda does not get.

What a cold start would spend most of its time on is done here. ``/var/task`` is read-only, so
that what has no bytecode is compiled anew at every start. And botocore reads the endpoints
of every service, of which it ships some four hundred, for any client that it makes.

The same source gives the same package on any machine.
"""

import ast
import compileall
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
ENTRY_POINT = "handler.app"
SERVICES = ("dynamodb", "s3", "sqs")
"""What the function calls, by botocore's names. The credentials come with its environment."""


def main(target: Path) -> None:
    """Make the package in an empty folder."""
    install(target)
    keep_services(target / "botocore" / "data")
    compile_modules(target)
    set_modes(target)


def install(target: Path) -> None:
    """Install the pinned dependencies and the function."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-compile", "--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    pip += ["--requirement", str(SOURCE.parent / "requirements.txt")]
    subprocess.run(pip, check=True)  # noqa: S603
    shutil.rmtree(target / "bin", ignore_errors=True)
    copy_modules(target)


def copy_modules(target: Path, source: Path = SOURCE) -> None:
    """Copy what the entry points import, each module with the JSON files that are named after it.

    ``metadata.schema.json`` is named after ``metadata.py``.
    """
    for module in find_imported(source, ENTRY_POINT):
        for path in (module, *module.parent.glob(f"{module.stem}.*json")):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def find_imported(source: Path, entry_point: str) -> set[Path]:
    """Return the files of a module, of its packages and of all that they import from ``source``, directly or not."""
    found: set[Path] = set()
    names = [entry_point]
    while names:
        package, _, module = names.pop().rpartition(".")
        path = source.joinpath(*package.split("."), module)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            imports = _Imports()
            imports.visit(ast.parse(path.read_bytes()))
            names += [package, *imports.names]
    return found


class _Imports(ast.NodeVisitor):
    """What a module imports, by name; of ``from a import b`` both ``a`` and ``a.b``, whether it is a module or not."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        """Leave out what is imported for type checkers only."""
        for child in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def keep_services(data: Path) -> None:
    """Keep the models and endpoints of the services that are called, in every version, and no other.

    A service that ``endpoints.json`` does not name has the endpoints that its partition
    gives to any service, as botocore handles services that are newer than itself.
    """
    for service in SERVICES:
        if not any((data / service).glob("*/service-2.json*")):
            raise SystemExit(f"botocore has no model of {service} in {data}")
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in SERVICES if name in services}
    file.write_text(json.dumps(endpoints))


def compile_modules(target: Path) -> None:
    """Compile every module, with the paths that it will have.

    By hash: SAM's zips carry no useful timestamps. Unchecked: the sources, which are there
    for the sake of tracebacks, do not change in Lambda.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(target, quiet=1, invalidation_mode=mode, stripdir=target, prependdir="/var/task"):
        raise SystemExit("there are modules that do not compile")


def set_modes(target: Path) -> None:
    """Set the same modes for all files, whatever the umask: they are part of the zip."""
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
