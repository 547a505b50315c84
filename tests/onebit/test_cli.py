import dataclasses
import json
import sys

import click
import pytest
from click.testing import CliRunner

from onebit.cli import (
    CommandGroup,
    command_line,
    emit,
    emit_document,
    format_option,
    grouped,
    options,
)
from onebit.console import say
from onebit.errors import OnebitError, UsageError, near_matches

RECORDS = [{"name": "[bold]a", "count": 1}, {"name": "b", "count": None}]


@click.group(cls=CommandGroup)
def group():
    pass


@group.command()
@format_option()
def show(format_):
    emit(RECORDS, format_, title="[title]", columns={"name": "Name", "count": "Count"})


@group.command()
@click.argument("kind")
def fail(kind):
    raise {"failure": OnebitError, "usage": UsageError, "interrupt": KeyboardInterrupt}[kind](
        "file.x is wrong: fix it"
    )


@pytest.mark.parametrize(("kind", "code"), [("failure", 1), ("usage", 2)])
def test_errors_are_one_line_with_their_exit_code(kind, code):
    result = CliRunner().invoke(group, ["fail", kind])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: file.x is wrong: fix it\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--what"], "error: no such option '--what'; see onebit --help"),
        (["sho"], "error: onebit has no command 'sho'; did you mean show?"),
        (["fail"], "error: missing argument 'KIND'; see onebit fail --help"),
        (["show", "--format", "xml"],
         "error: invalid value for '--format': 'xml' is not one of 'table', 'json', 'jsonl', "
         "'csv'; see onebit show --help"),
        (["show", "--formt", "csv"], "error: no such option '--formt'. "),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line_that_names_the_help(arguments, line):
    result = CliRunner().invoke(group, arguments, prog_name="onebit")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_group_without_a_command_prints_its_help():
    result = CliRunner().invoke(group, [], prog_name="onebit")
    assert result.exit_code == 2
    assert "Usage: onebit [OPTIONS] COMMAND" in result.output


def test_an_unknown_name_among_many_does_not_list_them_all():
    assert near_matches("x", [f"k{i:02}" for i in range(62)]).endswith("k29 and 32 more")
    assert near_matches("x", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize("kind", [PermissionError, IsADirectoryError, NotADirectoryError])
def test_a_file_that_the_system_refuses_is_one_line(kind, monkeypatch):
    def refused():
        raise kind(13, "Permission denied", "locked/card.json")

    monkeypatch.setattr(show, "callback", lambda format_: refused())
    result = CliRunner().invoke(group, ["show"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: cannot access locked/card.json: Permission denied\n"


def test_interrupt_exits_with_130():
    result = CliRunner().invoke(group, ["fail", "interrupt"])
    assert result.exit_code == 130


def test_json_formats_hold_every_record():
    runner = CliRunner()
    assert json.loads(runner.invoke(group, ["show", "--format", "json"]).stdout) == RECORDS
    lines = runner.invoke(group, ["show", "--format", "jsonl"]).stdout.splitlines()
    assert [json.loads(line) for line in lines] == RECORDS
    assert runner.invoke(group, ["show", "--format", "csv"]).stdout == "name,count\n[bold]a,1\nb,\n"


def test_table_shows_text_with_brackets_and_a_dash_for_none():
    output = CliRunner().invoke(group, ["show"]).stdout
    assert "[bold]a" in output
    assert "[title]" in output
    assert "–" in output


def test_options_are_listed_in_their_order():
    both = options(click.option("--first"), click.option("--second"))
    command = click.command()(both(lambda first, second: None))
    assert [parameter.name for parameter in command.params] == ["first", "second"]


def test_document_is_printed_as_json(capsys):
    emit_document({"a": [1]})
    assert json.loads(capsys.readouterr().out) == {"a": [1]}


def test_table_in_a_pipe_has_its_own_width_unless_columns_limits_it(capsys, monkeypatch):
    records = [{"text": "word " * 30}]
    monkeypatch.delenv("COLUMNS", raising=False)
    emit(records, "table")
    assert max(map(len, capsys.readouterr().out.splitlines())) == 100
    monkeypatch.setenv("COLUMNS", "60")
    emit(records, "table")
    assert max(map(len, capsys.readouterr().out.splitlines())) == 60


WIDE = [{"name": "binary_connect_mlp", "p50": "0.447 ms", "p90": "0.512 ms", "reason": "it " * 30}]
WIDE_COLUMNS = {key: key for key in WIDE[0]}


def lines_of(capsys, monkeypatch, columns, **options):
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    emit(WIDE, "table", columns=WIDE_COLUMNS, **options)
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err


@pytest.mark.parametrize("columns", [None, 120, 80, 60, 50])
def test_table_breaks_neither_words_nor_figures(capsys, monkeypatch, columns):
    lines, _ = lines_of(capsys, monkeypatch, columns)
    assert max(map(len, lines)) <= (columns or 100)
    text = "\n".join(lines)
    assert all(cell in text for cell in ("binary_connect_mlp", "0.447 ms", "0.512 ms"))
    assert text.count("it") == 30


def test_narrow_table_leaves_optional_columns_out_and_says_so(capsys, monkeypatch):
    lines, note = lines_of(capsys, monkeypatch, 40, optional=["p50", "p90"])
    assert "0.447 ms" in "\n".join(lines)
    assert "0.512 ms" not in "\n".join(lines)
    assert note == "note: left out for lack of space: p90\n"
    lines, note = lines_of(capsys, monkeypatch, 30, optional=["p50", "p90"])
    assert "binary_connect_mlp" in "\n".join(lines)
    assert note == "note: left out for lack of space: p50, p90\n"


def test_table_in_a_pipe_is_complete(capsys, monkeypatch):
    records = [{f"column {i}": f"a_long_word_{i}" for i in range(12)}]
    monkeypatch.delenv("COLUMNS", raising=False)
    emit(records, "table", optional=["column 1"])
    captured = capsys.readouterr()
    assert all(cell in captured.out for cell in records[0].values())
    assert captured.err == ""


def test_say_prints_one_line_without_passwords(capfd):
    say("word " * 60 + "ssh://pi:hunter2@board [bold]")
    line = capfd.readouterr().err
    assert line.count("\n") == 1
    assert line.endswith("ssh://pi:***@board [bold]\n")


@dataclasses.dataclass
class Size:
    width: int
    height: int


def test_grouped_options_are_one_object():
    @click.command()
    @options(click.option("--width", default=1), click.option("--height", default=2))
    @click.option("--name", default="a")
    @grouped("size", Size)
    def command(size, name):
        click.echo(f"{size} {name}")

    result = CliRunner().invoke(command, ["--height", "5"])
    assert result.stdout == "Size(width=1, height=5) a\n"


@pytest.mark.parametrize("arguments", [["fail", "ssh://a:hunter2@b"], ["ssh://a:hunter2@b"]])
def test_password_in_wrong_usage_is_masked(arguments):
    result = CliRunner().invoke(group, [*arguments, "one too many"])
    assert result.exit_code == 2
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    "given", [["python", "bench", "a b.tflite"], ["onebit", "edge", "bench", "a b.tflite"]]
)
def test_command_line_is_the_same_however_the_stage_was_started(given, monkeypatch):
    monkeypatch.setattr(sys, "argv", given)
    assert command_line("edge") == "onebit edge bench 'a b.tflite'"
