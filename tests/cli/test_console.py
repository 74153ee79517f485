"""Consoles without UTF-8, colour or a cursor: no command ends with a traceback, and no information is lost."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pytest_mock import MockerFixture
from rich.console import Console

from local.sam import ROOT
from run_recorder.cli import main
from run_recorder.cli.progress_screen import ProgressScreen
from run_recorder.domain import Outcome
from run_recorder.producer.progress import Progress, Step
from tests.support.stack_fixtures import run_command

NAME = "測定 😀"
ESCAPED = r"\u6e2c\u5b9a \ud83d\ude00"
UPLOADING = Progress(Step.UPLOADING, 1, 1, 1, 1, "a.csv")


def run_in(encoding: str, *arguments: object) -> Result:
    """Run a command with this encoding of standard output."""
    return CliRunner(charset=encoding).invoke(main, [*map(str, arguments)])


def run_process(encoding: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, which fails if it depends on the encoding of this machine's files."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT / "src"), "TERM": "dumb"}
    python = [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    command = [*python, "-m", "run_recorder", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_text_is_printed_on_any_console(encoding: str, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.json").write_bytes(b'{"name": 7}')
    text = run_process(encoding, "validate", tmp_path / f"{NAME}.json")
    assert (text.returncode, text.stderr) == (1, b"")
    assert b"/name: expected a string, found an integer" in text.stdout
    document = run_process(encoding, "validate", "--json", tmp_path / f"{NAME}.json")
    assert (document.returncode, document.stderr) == (1, b"")
    assert json.loads(document.stdout.decode("utf-8", "strict"))["file"] == str(tmp_path / f"{NAME}.json")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_name_that_is_not_utf8_is_printed(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json")
    Path(path).write_bytes(b"{}")
    done = run_process("utf-8", "validate", "--json", path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["file"] == path


# click writes UTF-8 on a console whose encoding is ASCII.
@pytest.mark.parametrize(("encoding", "printed"), [("ascii", NAME.encode()), ("cp1252", ESCAPED.encode())])
@pytest.mark.usefixtures("shared_stack")
def test_texts_of_a_record_keep_each_character(
    encoding: str, printed: bytes, record_run: Callable[..., Outcome]
) -> None:
    record_run(encoding, "run-1", json.dumps({"name": NAME}).encode())
    for command in (["show", f"{encoding}/run-1"], ["list", encoding]):
        result = run_in(encoding, *command)
        assert (result.exit_code, result.exception) == (0, None)
        assert printed in result.stdout_bytes
        document = run_in(encoding, *command, "--json").stdout_bytes
        assert json.loads(document) == json.loads(run_command(*command, "--json").stdout_bytes)


@pytest.mark.parametrize("command", [["validate"], ["dead-letters", "discard"]], ids=" ".join)
def test_help_is_printed_on_a_console_without_its_characters(command: list[str]) -> None:
    result = run_in("cp437", *command, "--help")
    assert (result.exit_code, result.exception) == (0, None)
    assert r"\u2026" in result.stdout


@pytest.mark.parametrize(("term", "encoding"), [("dumb", "utf-8"), ("xterm", "cp1252")])
def test_terminal_that_cannot_show_a_bar_gets_a_line_for_each_file(
    mocker: MockerFixture, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], term: str, encoding: str
) -> None:
    environment.setenv("TERM", term)
    drawn = io.BytesIO()
    console = Console(file=io.TextIOWrapper(drawn, encoding), force_terminal=True)
    mocker.patch("run_recorder.cli.progress_screen.Console", return_value=console)
    with ProgressScreen() as screen:
        screen.show(UPLOADING)
    assert (capsys.readouterr().err, drawn.getvalue()) == ("uploaded a.csv\n", b"")


def test_terminal_without_colour_gets_no_colour(mocker: MockerFixture, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TERM", "xterm")
    environment.setenv("NO_COLOR", "1")
    drawn = io.StringIO()
    mocker.patch("run_recorder.cli.progress_screen.Console", return_value=Console(file=drawn, force_terminal=True))
    with ProgressScreen() as screen:
        screen.show(UPLOADING)
    assert "uploading" in drawn.getvalue()
    assert "\x1b[3" not in drawn.getvalue().replace("\x1b[39m", "")
