"""The command line. A command is one file here; it loads what it needs when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ..errors import InternalError, TvmoptError

COMMANDS = (
    "demo",
    "inspect",
    "compress",
    "compile",
    "run",
    "verify",
    "bench",
    "estimate",
    "tune",
    "records",
    "targets",
)


class Commands(click.Group):
    """Imports a command when it is asked for, and turns errors into one line and an exit code.

    Exit codes: 1 internal error, 2 something in the call, the model or its data is wrong, 130 interrupted.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            ctx.exit(130)
        except Exception as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"tvmopt: {_line(error)}", err=True)
            ctx.exit(2 if isinstance(error, TvmoptError) else 1)


def _line(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, TvmoptError):
        return text
    internal = text if isinstance(error, InternalError) else f"internal error: {type(error).__name__}: {text}"
    return f"{internal} (tvmopt --debug ... shows the traceback)"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tvmopt", prog_name="tvmopt")
@click.option("--debug", is_flag=True, envvar="TVMOPT_DEBUG", help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Compile quantized, pruned ONNX models with Apache TVM."""
