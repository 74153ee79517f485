"""`python -m local`: the stack on this machine, to see and to try."""

import argparse
import os
import signal
import sys
from pathlib import Path


def main() -> int:
    """Run the command that the arguments name and return the exit status."""
    arguments = _parse_arguments()
    _end_on_signal(is_wanted=arguments.command == "serve")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # the shell's region, profile and endpoint are not those of the local stack
    # Imported late: the imports take seconds, during which Ctrl-C must work.
    if arguments.command == "serve":
        from local.serve import serve  # noqa: PLC0415

        return serve(arguments.host, arguments.port, arguments.pollers)
    if arguments.command == "invoke":
        from local.invoke import invoke  # noqa: PLC0415

        return invoke(arguments.file)
    if arguments.command == "containers":
        from local.containers import run_samples  # noqa: PLC0415

        return run_samples()
    from local.story import run  # noqa: PLC0415

    run()
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="record a sample run and show what happens")
    invoke = commands.add_parser("invoke", help="invoke the function with a sample event")
    invoke.add_argument("file", type=Path, help="for example events/s3-put.json")
    serve = commands.add_parser("serve", help="run the stack until Ctrl-C, for any S3 client")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 also accepts connections from containers"
    )
    serve.add_argument(
        "--port", type=port, default=4580, help="port to listen on, 4580 by default; 0 selects a free port"
    )
    serve.add_argument(
        "--pollers", type=int, default=3, help="number of concurrent invocations, each in its own process"
    )
    commands.add_parser("containers", help="run every sample event in a container with sam local")
    return parser.parse_args()


def port(text: str) -> int:
    """Return a port number; argparse names this function in its error message."""
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError(f"{number} is not between 0 and 65535")
    return number


def _end_on_signal(*, is_wanted: bool) -> None:
    """End the process at once on Ctrl-C and SIGTERM, with status 0 if a signal is the expected end."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda number, _: os._exit(0 if is_wanted else 128 + number))


if __name__ == "__main__":
    sys.exit(main())
