"""What reaches a terminal: escapes, widths, colours, pipes that close, and answers that are not AWS's."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from click.testing import CliRunner
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli import main
from run_recorder.cli.command import ExitCode
from run_recorder.domain import Outcome
from run_recorder.errors import AWSCallError
from tests.cli.test_commands import ON_A_STACK, check_failure
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")

TITLE = "\x1b]0;owned\x07"
PAGE = "<html><head><title>Sign in</title></head><body><p>Who are you?<br></body></html>"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Body:
    """The body of an answer, as urllib3 has it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def stream(self) -> Iterator[bytes]:
        """Yield all of it."""
        yield self._text.encode()

    def read(self, *_: object) -> bytes:
        """Return what is left of it."""
        text, self._text = self._text, ""
        return text.encode()


@pytest.fixture
def answer(mocker: MockerFixture) -> Callable[[int, str], None]:
    """Answer every request with this status and page, whatever it asks for."""

    def begin(status: int, page: str) -> None:
        def send(_: object, request: Any, **_named: object) -> AWSResponse:
            return AWSResponse(request.url, status, HTTPHeaders.from_dict({"content-type": "text/html"}), Body(page))

        mocker.patch("moto.core.botocore_stubber.BotocoreStubber.__call__", send)

    return begin


@pytest.fixture
def terminal(environment: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command as on a terminal of 60 columns; return what it prints, without colours."""
    environment.setenv("FORCE_COLOR", "1")
    environment.setenv("COLUMNS", "60")
    return lambda *arguments: click.unstyle(run_command(*arguments).stdout)


@pytest.mark.parametrize(
    "error",
    [
        AWSCallError(f"looking for s3://b/runs/acme/{TITLE}/metadata.json failed: 403"),
        ClientError({"Error": {"Code": "AccessDenied", "Message": f"no {TITLE}"}}, "HeadObject"),
    ],
    ids=["key", "answer of AWS"],
)
def test_error_with_an_escape_sequence_cannot_control_the_terminal(mocker: MockerFixture, error: Exception) -> None:
    mocker.patch("run_recorder.s3.S3.head_object", autospec=True, side_effect=error)
    result = run_command("show", "acme/r")
    check_failure(result, r"\x1b]0;owned\x07")
    assert result.stderr.removesuffix("\n").isprintable()


def test_json_on_a_terminal_cannot_control_it_and_keeps_its_value(record_run: Callable[..., Outcome]) -> None:
    name = "\x1b[2J \x7f \x9b2J \u202e \U000e0001 é 電"
    record_run("hostile", "json", json.dumps({"name": name}).encode())
    text = run_command("show", "hostile/json", "--json").stdout.removesuffix("\n")
    assert text.isprintable()
    assert "é 電" in text
    assert json.loads(text)["record"]["name"] == name


@pytest.mark.parametrize("command", ON_A_STACK, ids=" ".join)
def test_answer_that_is_not_of_aws_is_one_line(answer: Callable[[int, str], None], command: list[str]) -> None:
    answer(200, PAGE)
    check_failure(run_command(*command), "HTTP status 200, but not by AWS", "--endpoint-url", "proxy")


@pytest.mark.parametrize(("status", "page"), [(200, ""), (200, "{}"), (403, PAGE), (407, "no <entry")])
def test_answers_of_all_kinds_that_are_not_of_aws_are_found(
    answer: Callable[[int, str], None], status: int, page: str
) -> None:
    answer(status, page)
    check_failure(run_command("list", "acme"), f"HTTP status {status}, but not by AWS")


def test_page_is_no_empty_answer_of_dynamodb(answer: Callable[[int, str], None]) -> None:
    """With the table named, the first answer is one that botocore would take for that of a run without a record."""
    answer(200, PAGE)
    check_failure(run_command("show", "acme/r", "--bucket", "b", "--table", "t"), "GetItem was answered")


def test_server_error_of_a_proxy_is_one_line(answer: Callable[[int, str], None]) -> None:
    """The page cannot be parsed, so that botocore raises an error that is neither a ClientError nor a BotoCoreError."""
    answer(502, "Bad <gateway " + "x" * 5000)
    result = run_command("list", "acme")
    check_failure(result, "Bad <gateway", "--endpoint-url")
    assert len(result.stderr) < 1000


@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["notifications"], ["show", "acme/r"], ["show", "acme/r", "--json"], ["list"], ["list", "--json"],
        ["reconcile"], ["validate", __file__], ["wait", "acme/r"], ["dead-letters", "redrive"],
    ],
    ids=lambda words: " ".join(words).replace(__file__, "FILE"),
)  # fmt: skip
@pytest.mark.usefixtures("no_waiting")
def test_pipe_that_is_closed_ends_a_command_quietly(
    command: list[str],
    record_run: Callable[..., Outcome],
    environment: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    record_run("acme", "r")
    reader, writer = os.pipe()
    os.close(reader)
    pipe = os.fdopen(writer, "w")
    environment.setattr(sys, "stdout", pipe)
    with pytest.raises(SystemExit) as ended:
        main(command)
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
    assert ended.value.code == ExitCode.CLOSED_PIPE
    assert "Traceback" not in capfd.readouterr().err


def test_process_whose_pipe_is_closed_writes_nothing_to_standard_error(tmp_path: Path) -> None:
    document = tmp_path / "metadata.json"
    document.write_text('{"name": 1}')
    command = [sys.executable, "-m", "run_recorder", "validate", *[str(document)] * 500]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.CLOSED_PIPE


@pytest.mark.parametrize("command", [["status"], ["show", "acme/r"], ["list"]], ids=" ".join)
def test_no_color_takes_the_colours_away(
    command: list[str], record_run: Callable[..., Outcome], environment: pytest.MonkeyPatch
) -> None:
    record_run("acme", "r")
    environment.setenv("FORCE_COLOR", "1")

    def output() -> str:
        return CliRunner().invoke(main, command, color=True).output

    assert ("\x1b[" in output()) is (command != ["list"])
    environment.setenv("NO_COLOR", "1")
    assert "\x1b" not in output()


def test_times_are_not_folded_on_60_columns(
    record_run: Callable[..., Outcome], shared_stack: LocalStack, terminal: Callable[..., str]
) -> None:
    long = "a_parameter_with_a_name_that_alone_is_wider_than_half_of_a_narrow_terminal"
    record_run("narrow", "run-with-an-identifier-of-forty-characters", json.dumps({"parameters": {long: 1}}).encode())
    record_run("narrow", "bad", json.dumps({"name": "", "tags": {"x" * 80: 1}}).encode())
    shown = "narrow/run-with-an-identifier-of-forty-characters"
    texts = {
        "show": terminal("show", shown),
        "history": terminal("show", shown, "--history"),
        "list": terminal("list", "narrow"),
        "status": terminal("status"),
    }
    times: dict[str, Any] = {name: TIME.findall(text) for name, text in texts.items()}
    assert {name: len(found) for name, found in times.items()} == {"show": 3, "history": 1, "list": 2, "status": 1}
    for name in ("show", "history", "status"):
        for line in texts[name].splitlines()[1:]:
            assert len(line.rstrip()) <= 60, (name, line)
    assert shared_stack.outputs["RunsBucket"] in texts["show"].replace("\n", "").replace(" ", "")
