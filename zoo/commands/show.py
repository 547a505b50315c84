"""`onebit zoo show`: a model or a recipe."""

from typing import Any

import click

from onebit.cli import emit_document, format_option
from onebit.console import print_table, working
from onebit.imports import import_option


@click.command()
@import_option
@click.argument("name")
@format_option("table", "json")
def show(name: str, format_: str) -> None:
    """Show a model's layers, or a recipe's settings and its model.

    \b
    Example:
      onebit zoo show binary_net_mlp
    """
    with working():
        from zoo.catalogue import describe

        document = describe(name)
    if format_ == "json":
        emit_document(document)
        return
    click.echo(f"{name}: {document['description']}\n")
    if document["paper"]:
        click.echo("Paper: {title}, arXiv {arxiv}\n".format(**document["paper"]))
    for key, heading in (("recipe", "Setting"), ("options", "Option")):
        rows = [[option, _text(value)] for option, value in (document[key] or {}).items()]
        if rows:
            print_table(rows, [heading, "Value"])
    total = {"layer": "total", **document["totals"]}
    sample = "text" if "vocabulary" in document["options"] else "image"
    headings = {
        "layer": "Layer",
        "type": "Type",
        "output_shape": "Output",
        "parameters": "Parameters",
        "bits": "Bits",
        "weight_bits": "Weight bits",
        "input_bits": "Input bits",
        "macs": "MACs",
    }
    print_table(
        [[_text(record.get(key)) for key in headings] for record in [*document["layers"], total]],
        headings.values(),
        title=f"{document['model']}, one {sample}",
    )


def _text(value: Any) -> str | None:
    """A value as a table shows it."""
    if isinstance(value, dict) and "dataset" in value:
        return value["name"]  # a teacher
    if isinstance(value, list | tuple) and any(isinstance(member, dict) for member in value):
        return ", ".join(str(_text(member)) for member in value)  # assistants
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return None if value is None else str(value)
