"""Cut botocore's data down to the operations that the code calls; build_package.py runs it.

A client reads the whole model of its service when it is made, and creates a method for each of its operations: more
than a hundred for S3, of which the function needs some. A model is cut to the operations that are called, with the
shapes of their input and output, and to all errors of the service, so that every error is parsed as before.

The called operations are found in the code: an operation is called if the name of its method, or of a waiter that
calls it, is an attribute or a string anywhere in the sources. A name that is used for another purpose keeps an
operation too many. A name that the code composes at run time is not found, and then
tests/infrastructure/test_permissions.py fails.
"""

import ast
import gzip
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Model = dict[str, Any]
"""A document of botocore's data."""


def find_called(data: Path, callers: Iterable[Path], sdk: Iterable[Path]) -> dict[str, set[str]]:
    """Find the operations that are called.

    Args:
        data: botocore's folder ``data``.
        callers: the modules that make clients, with ``client("<service>")``, and call them.
        sdk: the modules of botocore, which calls some operations by itself: for example S3's HeadBucket, if a bucket
            is in another region.

    Returns:
        The names of the operations of each service of which a client is made.

    Raises:
        SystemExit: botocore has no model of a service, or no operation of a service is called.
    """
    trees = [ast.parse(path.read_bytes()) for path in callers]
    names = {*_find_names(trees), *_find_names(ast.parse(path.read_bytes()) for path in sdk)}
    called = {service: set(_find_operations(data / service, names)) for service in _find_services(trees)}
    for service, operations in called.items():
        if not operations:
            raise SystemExit(f"{service} has no model in {data}, or the code calls none of its operations")
    return called


def keep_called(data: Path, called: Mapping[str, set[str]]) -> None:
    """Cut botocore's folder ``data`` down to these operations of these services, in every version of their models.

    A service that ``endpoints.json`` does not name has the endpoints that its partition gives to any service, as
    botocore handles services that are newer than itself.
    """
    for folder in [path for path in data.iterdir() if path.is_dir()]:
        if folder.name not in called:
            shutil.rmtree(folder)
        else:
            for file in list(folder.glob("*/*.json*")):
                _cut(file, called[folder.name])
    endpoints = _read(data / "endpoints.json")
    for partition in endpoints["partitions"]:
        known = partition["services"]
        partition["services"] = {name: known[name] for name in sorted(called) if name in known}
    _write(data / "endpoints.json", endpoints)


def _find_services(trees: Iterable[ast.Module]) -> Iterator[str]:
    """Yield the services of which clients are made."""
    for tree in trees:
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="client"), args=[ast.Constant(str(service)), *_]):
                    yield service


def _find_names(trees: Iterable[ast.Module]) -> Iterator[str]:
    """Yield, in one spelling, the attributes and strings that can be the name of a method or of a waiter."""
    for tree in trees:
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name) | ast.Constant(value=str(name)) if name == name.lower():
                    yield _normalize(name)


def _find_operations(service: Path, names: set[str]) -> Iterator[str]:
    for file in service.glob("*/service-2.json*"):
        yield from (operation for operation in _read(file)["operations"] if _normalize(operation) in names)
    for file in service.glob("*/waiters-2.json*"):
        waiters = _read(file)["waiters"]
        yield from (waiter["operation"] for name, waiter in waiters.items() if _normalize(name) in names)


def _normalize(name: str) -> str:
    """Return ``listobjectsv2`` for the operation ListObjectsV2 and for its method list_objects_v2."""
    return name.replace("_", "").lower()


def _cut(file: Path, operations: set[str]) -> None:
    """Cut a file of a service down to these operations."""
    document = _read(file)
    match file.name.partition(".json")[0]:
        case "service-2":
            _write(file, _cut_model(document, operations))
        case "paginators-1":
            pages = {name: page for name, page in document["pagination"].items() if name in operations}
            _write(file, document | {"pagination": pages})
        case "waiters-2":
            waiters = {name: each for name, each in document["waiters"].items() if each["operation"] in operations}
            _write(file, document | {"waiters": waiters})
        case "examples-1":  # for documentation only
            file.unlink()
        case _:
            _write(file, document)


def _cut_model(model: Model, operations: set[str]) -> Model:
    kept = {name: operation for name, operation in model["operations"].items() if name in operations}
    errors = [{"shape": name} for name, shape in model["shapes"].items() if shape.get("exception")]
    reached = _reach(model["shapes"], [kept, errors])
    shapes = {name: shape for name, shape in model["shapes"].items() if name in reached}
    return model | {"operations": _without_documentation(kept), "shapes": _without_documentation(shapes)}


def _reach(shapes: Model, root: object) -> set[str]:
    """Return the names of the shapes that a part of a model names, directly or not."""
    reached, found = set[str](), list(_find_shapes(root))
    while found:
        name = found.pop()
        if name not in reached:
            reached.add(name)
            found += _find_shapes(shapes[name])
    return reached


def _find_shapes(part: object) -> Iterator[str]:
    match part:
        case {"shape": str(name)}:
            yield name
        case dict():
            for value in part.values():
                yield from _find_shapes(value)
        case list():
            for value in part:
                yield from _find_shapes(value)


def _without_documentation(part: Any) -> Any:  # noqa: ANN401 - JSON
    match part:
        case {"documentation": str(), **rest}:
            return _without_documentation(rest)
        case dict():
            return {name: _without_documentation(value) for name, value in part.items()}
        case list():
            return [_without_documentation(value) for value in part]
    return part


def _read(file: Path) -> Model:
    content = file.read_bytes()
    document: Model = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    return document


def _write(file: Path, document: Model) -> None:
    """Write a document in the form that botocore reads in the least time: not compressed, and without spaces."""
    file.unlink()
    file.with_name(file.name.removesuffix(".gz")).write_text(json.dumps(document, separators=(",", ":")))
