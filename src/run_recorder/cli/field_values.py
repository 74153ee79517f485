"""The values of options that set fields of a document."""

import click

from run_recorder.domain import JSON
from run_recorder.errors import InvalidMetadataError
from run_recorder.json_document import decode


def parse_pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return the names and texts of ``NAME=VALUE``."""
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r}: expected NAME=VALUE")
        pairs[name] = text
    return pairs


def parse_parameters(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, JSON]:
    """Return the names and values of ``NAME=JSON``, every number exact."""
    parameters = {}
    for name, text in parse_pairs(context, parameter, values).items():
        try:
            parameters[name], errors = decode(text)
        except InvalidMetadataError as error:
            errors = list(error.errors)
        if errors:
            raise click.BadParameter(
                f"{name}={text!r}: {errors[0].message}; a text needs quotation marks: {name}='\"…\"'"
            )
    return parameters


def parse_model(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, str] | None:
    """Return the model that ``NAME`` or ``NAME@VERSION`` names; None if there is no value."""
    if value is None:
        return None
    name, at, version = value.rpartition("@") if "@" in value else (value, "", "")
    if not name or (at and not version):
        raise click.BadParameter(f"{value!r}: expected NAME@VERSION")
    return {"name": name, **({"version": version} if at else {})}
