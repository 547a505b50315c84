"""`onebit zoo list`: what is registered."""

import click

from onebit.cli import emit, format_option
from onebit.console import working
from onebit.imports import import_option


@click.command("list")
@import_option
@format_option()
def list_(format_: str) -> None:
    """List the models, the data sets and the recipes.

    \b
    Example:
      onebit zoo list --format json
    """
    with working():
        from zoo.catalogue import entries

        records = entries()
    if format_ != "table":
        emit(records, format_)
        return
    columns = {
        "model": {
            "name": "Model",
            "kind": "Binary",
            "paper": "Paper",
            "float_baseline": "Float baseline",
            "weights": "Trained on",
        },
        "dataset": {"name": "Data set", "description": "Content"},
        "recipe": {"name": "Recipe", "model": "Model", "dataset": "Data set"},
    }
    for type_, headings in columns.items():
        shown = [{**r, "weights": ", ".join(r["weights"] or [])} for r in records]
        emit([r for r in shown if r["type"] == type_], "table", columns=headings)
