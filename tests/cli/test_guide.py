"""docs/command-line.md, compared with the commands: complete, and without extra entries."""

import re
from pathlib import Path

import click
import pytest

from run_recorder.cli import main
from run_recorder.cli.command import Command, ExitCode
from run_recorder.cli.comparison import State
from tests.cli.test_commands import all_commands

GUIDE = (Path(__file__).parent.parent.parent / "docs" / "command-line.md").read_text()
COMMANDS = {" ".join(words): command for words, command in all_commands()}
STACK_OPTIONS = {"--stack", "--bucket", "--table", "--profile", "--region", "--endpoint-url"}


def section(title: str) -> str:
    return re.split(r"^## ", GUIDE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row of the tables in a text, without its marks; not those of headings."""
    rows = re.sub(r"^\|.*\n\|[-|]+\|$", "", text, flags=re.MULTILINE)
    return re.findall(r"^\| \[?`(.+?)`", rows, re.MULTILINE)


def options_of(command: click.Command) -> dict[str, click.Parameter]:
    return {option: parameter for parameter in command.params for option in parameter.opts if option.startswith("--")}


def arguments_of(command: click.Command) -> list[str]:
    return [argument.human_readable_name if argument.metavar is None else argument.metavar
            for argument in command.params if isinstance(argument, click.Argument)]  # fmt: skip


def test_table_of_commands_lists_each_with_its_arguments() -> None:
    assert first_cells(GUIDE.partition("\n`ORG` is")[0]) == [
        " ".join([name, *arguments_of(command)]) for name, command in COMMANDS.items()
    ]


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    sections = re.findall(r"^## (.+)", GUIDE, re.MULTILINE)
    others = ["Install", "Options of all commands but `validate`", "Exit codes", "Shell completion", "Permissions"]
    assert sections == [*others[:4], *COMMANDS, others[4]]


@pytest.mark.parametrize("name", COMMANDS)
def test_section_of_a_command_lists_its_options_and_its_exit_code(name: str) -> None:
    command = COMMANDS[name]
    text = section(name)
    rows = {row.split()[0] for row in first_cells(text) if row.startswith("--")}
    assert rows == options_of(command).keys() - STACK_OPTIONS
    assert isinstance(command, Command)
    documented = re.findall(r"^Exit code 1: (.+)\.$", text, re.MULTILINE)
    assert documented == ([command.attention] if command.attention else [])


def test_common_options_have_their_variables() -> None:
    rows = re.findall(r"^\| `(--\S+)` \| (.*?) \|", section("Options of all commands but `validate`"), re.MULTILINE)
    common = {name: parameter for name, parameter in options_of(COMMANDS["show"]).items() if name in STACK_OPTIONS}
    assert [name for name, _ in rows] == list(common)
    for name, variables in rows:
        declared = common[name].envvar
        expected = [declared] if isinstance(declared, str) else declared
        # boto3 itself reads the variables of the others.
        assert re.findall(r"[A-Z_]{4,}", variables) == list(expected or re.findall(r"AWS_\w+", common[name].help or ""))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_but_validate_has_the_common_options(name: str) -> None:
    assert STACK_OPTIONS & options_of(COMMANDS[name]).keys() == (set() if name == "validate" else STACK_OPTIONS)


def test_exit_codes_are_those_of_the_commands() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", section("Exit codes"), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in ExitCode]


def test_states_are_those_of_a_comparison() -> None:
    rows = first_cells(section("reconcile").partition("| state |")[2])
    assert set(rows) == set(State)


def test_permissions_are_listed_for_each_command_that_calls_aws() -> None:
    rows = first_cells(section("Permissions"))
    assert set(rows) - {"reconcile --repair", "replay --yes"} == COMMANDS.keys() - {"validate"}


def test_completion_variable_is_named_after_the_command() -> None:
    assert set(re.findall(r"_\w+_COMPLETE", GUIDE)) == {f"_{str(main.name).replace('-', '_').upper()}_COMPLETE"}
