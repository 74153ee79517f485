"""Makes the package that Lambda unpacks to ``/var/task``; src/Makefile runs it.

What a cold start would spend most of its time on is done here. ``/var/task`` is read-only, so
that what has no bytecode is compiled anew at every start. And botocore reads the endpoints
of every service, of which it ships some four hundred, for any client that it makes.

The same source gives the same package on any machine.
"""

import compileall
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
SERVICES = ("dynamodb", "s3")
"""What the function calls, by botocore's names. The credentials come with its environment."""


def main(target: Path) -> None:
    """Makes the package in an empty folder."""
    install(target)
    keep_services(target / "botocore" / "data")
    compile_modules(target)
    set_modes(target)


def install(target: Path) -> None:
    """Puts in the dependencies, as pinned, and the function."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-compile", "--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    pip += ["--requirement", str(SOURCE.parent / "requirements.txt")]
    subprocess.run(pip, check=True)  # noqa: S603
    shutil.rmtree(target / "bin", ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("handler", "run_recorder"):
        shutil.copytree(SOURCE / package, target / package, ignore=ignored, dirs_exist_ok=True)


def keep_services(data: Path) -> None:
    """Leaves botocore the models and endpoints of the services that are called, in every version.

    A service that ``endpoints.json`` does not name has the endpoints that its partition
    gives to any service, which is how botocore knows services newer than itself.
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
    """Compiles every module, with the paths that it will have.

    By hash: SAM's zips carry no useful timestamps. Unchecked: the sources, which are there
    for the sake of tracebacks, do not change in Lambda.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(target, quiet=1, invalidation_mode=mode, stripdir=target, prependdir="/var/task"):
        raise SystemExit("there are modules that do not compile")


def set_modes(target: Path) -> None:
    """Gives all files the same modes, whatever the umask: they are part of the zip."""
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
