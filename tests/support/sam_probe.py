"""Runs SAM CLI, in its own environment, but prints what `sam local invoke` would start a container with instead."""

import json
import sys
from typing import Any
from unittest.mock import MagicMock

from samcli.cli.main import cli
from samcli.local.docker.container_client_factory import ContainerClientFactory
from samcli.local.lambdafn.runtime import LambdaRuntime


def show(_runtime: LambdaRuntime, function: Any, *_: Any, **options: Any) -> None:
    """Print the container's architecture, handler, code, environment and additional hosts as JSON."""
    print(
        json.dumps({
            "architecture": function.architecture,
            "handler": function.handler,
            "code": str(function.code_abs_path),
            "environment": function.env_vars.resolve(),
            "hosts": options["extra_hosts"],
        })
    )  # fmt: skip


ContainerClientFactory.create_client = staticmethod(MagicMock)
LambdaRuntime.invoke = show
cli(sys.argv[1:])
