"""What ``run_recorder`` names: lazily imported and documented."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import run_recorder
from handler import app
from run_recorder._version import __version__

CLASSES = [name for name in run_recorder.__all__ if inspect.isclass(getattr(run_recorder, name))]


def public_members(public_class: type) -> Iterator[tuple[str, object]]:
    """List the methods and properties of a class, and of its bases in this package."""
    for base in public_class.__mro__:
        for name, member in vars(base).items():
            is_ours = base.__module__.startswith("run_recorder.") and not name.startswith("_")
            if is_ours and (callable(member) or isinstance(member, property | classmethod | staticmethod)):
                yield f"{base.__name__}.{name}", member


def test_import_loads_neither_boto3_nor_what_the_command_line_needs() -> None:
    program = "import sys, run_recorder; print(*{name.partition('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(Path(run_recorder.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    assert "run_recorder" in loaded
    assert loaded.isdisjoint({"boto3", "botocore", "click", "rich"})


def test_dir_lists_the_public_names() -> None:
    assert dir(run_recorder) == sorted(run_recorder.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'run_recorder' has no attribute 'S4'"):
        run_recorder.S4  # type: ignore[attr-defined] # noqa: B018


def test_version_is_that_of_the_package() -> None:
    assert run_recorder.__version__ == __version__


def test_handler_names_the_same_build_model_config() -> None:
    assert app.build_model_config is run_recorder.build_model_config


@pytest.mark.parametrize("name", sorted({*run_recorder.__all__} - {"__version__"}))
def test_public_name_has_a_docstring(name: str) -> None:
    documentation = getattr(run_recorder, name).__doc__
    assert documentation
    assert not documentation.startswith(f"{name}(")  # as a dataclass documents itself


@pytest.mark.parametrize("name", CLASSES)
def test_public_method_or_property_has_a_docstring(name: str) -> None:
    members = list(public_members(getattr(run_recorder, name)))
    assert [member_name for member_name, member in members if not member.__doc__] == []
