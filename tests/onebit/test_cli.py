import json

import click
import pytest
from click.testing import CliRunner

from onebit.cli import CommandGroup, emit, emit_document, format_option, options
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
        "file.x is wrong: mend it"
    )


@pytest.mark.parametrize(("kind", "code"), [("failure", 1), ("usage", 2)])
def test_errors_are_one_line_with_their_exit_code(kind, code):
    result = CliRunner().invoke(group, ["fail", kind])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: file.x is wrong: mend it\n"


def test_an_unknown_name_among_many_does_not_list_them_all():
    assert near_matches("x", [f"k{i:02}" for i in range(62)]).endswith("k29 and 32 more")
    assert near_matches("x", ["b", "a"]) == "known: a, b"


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
    assert max(map(len, capsys.readouterr().out.splitlines())) > 150
    monkeypatch.setenv("COLUMNS", "60")
    emit(records, "table")
    assert max(map(len, capsys.readouterr().out.splitlines())) == 60
