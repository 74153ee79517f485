"""`make containers`, without containers; test_package.py tests what SAM CLI would start them with."""

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from local import containers
from local.samples import SAMPLES, expected_answer
from local.stack import LocalStack
from tests.support.serving import run_local


def answer_as_expected(function: str, event: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(expected_answer(event).read_text())
    assert function == ("BackfillFunction" if "batch-operations" in event.name else "RecorderFunction")
    return answer


def test_every_sample_event_is_compared_with_its_expected_answer(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert containers.compare(stack, answer_as_expected) == 0
    assert capsys.readouterr().out.count(": as expected") == len(SAMPLES)


def test_comparison_fails_if_a_function_raises_or_answers_otherwise(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sam local invoke` itself succeeds when the function raises."""

    def raise_once(function: str, event: Path) -> dict[str, Any]:
        return {"errorType": "KeyError"} if event.stem == "s3-put" else answer_as_expected(function, event)

    assert containers.compare(stack, raise_once) == 1
    assert capsys.readouterr().err == 'error: s3-put.json: the answer is {"errorType": "KeyError"}\n'


def test_machine_without_container_engine_is_named(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    mocker.patch("local.containers.find_python", return_value=Path("python3.13"))
    mocker.patch("local.containers._has_engine", return_value=False)
    assert containers.run_samples() == 1
    assert capsys.readouterr().err == "error: not run: SAM CLI finds no container engine, neither Docker nor Finch\n"


def test_container_engine_is_looked_for_as_sam_cli_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    run = run_local("containers")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert run.stderr.startswith("error: not run: ")
