"""Make the package that Lambda unpacks to ``/var/task``; src/Makefile runs it.

Of our own modules and of Powertools' it holds those that the entry points import, directly or not, and no other: not
the command line, which needs packages that Lambda does not get. Of the data of boto3 and botocore it holds what the
calls of these modules need.

What a cold start would spend most of its time on is done here. ``/var/task`` is read-only, so
that what has no bytecode is compiled anew at every start. And for any client that it makes, botocore reads the
endpoints of every service, of which it ships some four hundred, and the description of every operation of its service.

The same source gives the same package on any machine.
"""

import ast
import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from service_models import find_called, keep_called

SOURCE = Path(__file__).resolve().parent
ENTRY_POINT = "handler.app"
POWERTOOLS = "aws_lambda_powertools"
# Imported by what Logger and Metrics import, but only to serialize models of pydantic, which Lambda does not get.
UNREACHABLE = f"{POWERTOOLS}.event_handler."


def main(target: Path) -> None:
    """Make the package in an empty folder."""
    install(target)
    drop_unused(target)
    compile_modules(target)
    set_modes(target)


def install(target: Path) -> None:
    """Install the pinned dependencies and the function."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-compile", "--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    pip += ["--requirement", str(SOURCE.parent / "requirements.txt")]
    subprocess.run(pip, check=True)  # noqa: S603
    shutil.rmtree(target / "bin", ignore_errors=True)
    # pip's lists of files contain hashes of the scripts in bin, which name the path of this Python.
    for record in target.glob("*.dist-info/RECORD"):
        record.unlink()
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


def find_imported(source: Path, entry_point: str, unreachable: tuple[str, ...] = ()) -> set[Path]:
    """Return the files of a module, of its packages and of all that they import from ``source``, directly or not.

    Modules whose names begin with one of ``unreachable`` are left out.
    """
    found: set[Path] = set()
    names = [entry_point]
    while names:
        name = names.pop()
        if name.startswith(unreachable):
            continue
        path = source.joinpath(*name.split("."))
        package = name if path.is_dir() else name.rpartition(".")[0]
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            imports = _Imports(package)
            imports.visit(ast.parse(path.read_bytes()))
            names += [name.rpartition(".")[0], *imports.names]
    return found


class _Imports(ast.NodeVisitor):
    """What a module of a package imports, by name; of ``from a import b`` both ``a`` and ``a.b``, module or not."""

    def __init__(self, package: str) -> None:
        self.names: list[str] = []
        self._package = package.split(".")

    def visit_If(self, node: ast.If) -> None:
        """Leave out what is imported for type checkers only."""
        for child in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        parents = self._package[: len(self._package) - node.level + 1] if node.level else []
        module = ".".join([*parents, *([node.module] if node.module else [])])
        self.names += [module, *(f"{module}.{alias.name}" for alias in node.names)]


def drop_unused(target: Path) -> None:
    """Drop the parts of the dependencies that the function cannot reach."""
    used = find_imported(target, ENTRY_POINT, (UNREACHABLE,))
    for module in (target / POWERTOOLS).rglob("*.py"):
        if module not in used:
            module.unlink()
    remove_folders_without_modules(target / POWERTOOLS)
    shutil.rmtree(target / "boto3" / "data")  # for boto3.resource, which the function does not use
    keep_called(target / "botocore" / "data", find_operations(target / "botocore"))


def find_operations(botocore: Path) -> dict[str, set[str]]:
    """Return the operations of each service that the function calls, or botocore for it."""
    return find_called(botocore / "data", find_imported(SOURCE, ENTRY_POINT), botocore.glob("*.py"))


def remove_folders_without_modules(folder: Path) -> None:
    """Remove the folders that hold no module, with what else they hold."""
    for child in [path for path in folder.iterdir() if path.is_dir()]:
        if next(child.rglob("*.py"), None):
            remove_folders_without_modules(child)
        else:
            shutil.rmtree(child)


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
