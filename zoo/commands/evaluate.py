"""`onebit zoo evaluate`: accuracies, measured again."""

import dataclasses
from pathlib import Path

import click

from onebit.cli import emit, format_option
from onebit.console import working
from onebit.imports import import_option


@click.command()
@import_option
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN..."
)
@format_option()
def evaluate(folders: tuple[Path, ...], format_: str) -> None:
    """Measure the accuracies of runs again and compare them with their model cards.

    Exits with 1 when one differs by more than rounding explains.

    \b
    Example:
      onebit zoo evaluate runs/bnn
    """
    from zoo.runs.run import load_card

    for folder in folders:  # before minutes are spent
        load_card(folder)
    records = []
    with working() as status:
        import zoo

        for folder in folders:
            loaded = zoo.load_run(folder)
            status.update(f"evaluating {folder}")
            result = zoo.evaluate(loaded)
            records.append(
                {
                    "run": str(folder),
                    "model": loaded.card["name"],
                    "dataset": loaded.card["dataset"]["name"],
                    **dataclasses.asdict(result),
                    "agrees": result.agrees,
                }
            )
    columns = {
        "run": "Run",
        "model": "Model",
        "dataset": "Data set",
        "samples": "Images",
        "accuracy": "Accuracy",
        "card_accuracy": "On the card",
        "latent_weights_accuracy": "With latent weights",
        "agrees": "Agrees",
    }
    agrees = all(record["agrees"] for record in records)
    if format_ == "table":
        for record in records:
            for key in ("accuracy", "card_accuracy", "latent_weights_accuracy"):
                record[key] = None if record[key] is None else f"{record[key]:.2%}"
            record["agrees"] = "yes" if record["agrees"] else "no"
    emit(records, format_, columns=columns)
    if not agrees:
        click.get_current_context().exit(1)
