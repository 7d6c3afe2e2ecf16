"""What the benchmarks' command lines share."""

from __future__ import annotations

from typing import Any

import click

from tvmopt.errors import TvmoptError


class Command(click.Command):
    """Turns an error that is the user's to act on into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TvmoptError as error:
            raise click.UsageError(str(error)) from None


def listed(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    """Callback of an option that takes several values with commas between them."""
    return [item for item in value.split(",") if item]
