"""Behaviour that all of Onebit's command lines share.

Results go to standard output, progress and errors to standard error. Exit codes: 0 success,
1 failure, 2 wrong usage, 130 interrupted.
"""

import csv
import dataclasses
import functools
import io
import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from onebit import interrupts, standard_streams
from onebit.console import markdown_table, print_table
from onebit.errors import OnebitError, UsageError, near_matches
from onebit.extras import missing_extra
from onebit.secrets import without_passwords

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv")


class CommandGroup(click.Group):
    """A group whose commands turn errors and Ctrl-C into one line on standard error."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command line, and prepares the streams that it writes to."""
        standard_streams.prepare()
        try:
            return super().main(*args, **kwargs)
        except OnebitError as error:  # help and versions are printed outside of commands
            _say_error(error)
            sys.exit(error.exit_code)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Reads the group's own arguments; wrong ones are one line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _exit_with_line(error) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = near_matches(args[0], self.list_commands(ctx))
            raise UsageError(f"{ctx.command_path} has no command {args[0]!r}; {close}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; errors that a user can act on end it without a traceback."""
        try:
            with interrupts.raised():
                return super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or interrupts.interrupted():
                click.echo("interrupted", err=True)
                ctx.exit(interrupts.EXIT_CODE)
            error = _explained(error)
            if isinstance(error, OnebitError):
                _say_error(error)
                ctx.exit(error.exit_code)
            if isinstance(error, click.ClickException):
                raise _exit_with_line(error) from None
            raise


def _explained(error: BaseException) -> BaseException:
    """The error that a user can act on, where an exception is only its cause."""
    if isinstance(error, ModuleNotFoundError):
        return missing_extra(error) or error
    # A locked folder is for the user to open; that a file is missing was looked at before.
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.filename:
        return OnebitError(f"cannot access {error.filename}: {error.strerror}")
    return error


def _say_error(error: OnebitError) -> None:
    click.echo(without_passwords(f"error: {error}"), err=True)


def _exit_with_line(error: click.ClickException) -> BaseException:
    """Prints click's error as one line, without its block on usage; what ends the command.

    A group without a command prints its help, which click has as an error too.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = message[:1].lower() + message[1:]
    hint = f"; see {context.command_path} --help" if context else ""
    click.echo(without_passwords(f"error: {message}{hint}"), err=True)
    return click.exceptions.Exit(error.exit_code)


def command_line(stage: str) -> str:
    """The command as it was given, however the stage was started, for a row or a card."""
    given = sys.argv[1:]
    return shlex.join(["onebit", stage, *(given[1:] if given[:1] == [stage] else given)])


def shell_word(path: Path) -> str:
    """A path as an argument in a shell's command, which no command takes for an option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def format_option(*formats: str) -> Callable[[Command], Command]:
    """The option `--format`, with `table` as its default; all of `FORMATS` when none is named."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats or FORMATS),
        default="table",
        show_default=True,
        help="Format of the result.",
    )


force_option = click.option(
    "--force",
    is_flag=True,
    help="Overwrite the output even if it is a file that Onebit did not write.",
)
"""`--force`, for commands with an output."""


class PositiveFloat(click.FloatRange):
    """A finite number from 0; above 0 with `min_open`."""

    def __init__(self, *, min_open: bool = False) -> None:
        super().__init__(min=0, min_open=min_open)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number; click takes `inf` and `nan` for numbers in any range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Share(click.ParamType):
    """A share of a whole, `10%` or `0.1`, as a fraction from 0 to 1."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The fraction; a bare number above 1 may mean a percentage, and is refused."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", str(value).strip())
        share = float(match[1]) / (100 if match[2] else 1) if match else math.nan
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share such as 10% or 0.1", param, ctx)
        return share


def options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """A decorator that adds several options to a command, whose help lists them in this order."""

    def add(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return add


def grouped(name: str, kind: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that gives a command a dataclass in place of the options of its fields' names."""
    names = [field.name for field in dataclasses.fields(kind)]

    def group(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            return command(**{name: kind(**{key: values.pop(key) for key in names})}, **values)

        return call

    return group


def emit(
    records: Sequence[Mapping[str, Any]],
    format_: str,
    *,
    title: str | None = None,
    columns: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
) -> None:
    """Prints records to standard output as a table, Markdown, JSON, JSON Lines or CSV.

    Args:
        records: One mapping per line.
        format_: One of `FORMATS`, or `md`.
        title: The table's title.
        columns: Key → heading of what the table and Markdown show; all keys when absent. The other
            formats always hold every key.
        optional: Keys that a table too wide for the terminal leaves out, the last ones first.
    """
    if format_ == "json":
        emit_document(records)
    elif format_ == "jsonl":
        for record in records:
            click.echo(json.dumps(record))
    elif format_ == "csv":
        click.echo(_csv(records), nl=False)
    else:
        headings = columns or {key: key for key in (records[0] if records else {})}
        rows = [[record.get(key) for key in headings] for record in records]
        if format_ == "md":
            click.echo(markdown_table(rows, list(headings.values())), nl=False)
        else:
            print_table(
                rows,
                headings.values(),
                title,
                [headings[key] for key in optional if key in headings],
            )


def emit_document(document: Any) -> None:
    """Prints a JSON document to standard output."""
    click.echo(json.dumps(document, indent=2))


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if records:
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return text.getvalue()


def require_suffix(path: Path, suffix: str) -> None:
    """Refuses an output whose name would hide what it is.

    Raises:
        UsageError: The name has another suffix.
    """
    if path.suffix != suffix:
        raise UsageError(f"the output {path} must end in {suffix}")
