"""`python -m zoo`: lists, shows, trains, evaluates and exports."""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from onebit import __version__
from onebit.cli import CommandGroup, emit, emit_document, format_option, print_table, require_suffix
from onebit.files import require_writable

# Commands import what needs TensorFlow themselves: help and errors must not wait for it.


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit zoo")
def main() -> None:
    """Binary neural networks: families, data sets, recipes and training.

    \b
    Example:
      onebit zoo list
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn
      onebit zoo evaluate runs/bnn
    """


@main.command("list")
@format_option()
def list_(format_: str) -> None:
    """List the models, the data sets and the recipes.

    \b
    Example:
      onebit zoo list --format json
    """
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


@main.command()
@click.argument("name")
@format_option("table", "json")
def show(name: str, format_: str) -> None:
    """Show a model's layers, or a recipe's settings and its model.

    \b
    Example:
      onebit zoo show binary_net_mlp
    """
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
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return None if value is None else str(value)


def _settings(context: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> Any:
    """`key=value` texts as a mapping."""
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise click.BadParameter(f"{pair!r} is not of the form key=value")
        settings[key] = value
    return settings


@main.command()
@click.argument("recipe")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_settings,
    help="Change a setting of the recipe or an option of its model; may be repeated.",
)
@click.option("--seed", type=click.IntRange(min=0), help="In place of the recipe's seed.")
@click.option("--smoke", is_flag=True, help="Train a small model on a few images.")
@click.option("--restart", is_flag=True, help="Remove an earlier run in the folder first.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The folder of data sets.  [default: $ONEBIT_DATA or ~/.onebit/data]",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "mirrored", "multi-worker"]),
    default="auto",
    show_default=True,
    help="All devices of this machine, or the workers that TF_CONFIG lists.",
)
def train(
    recipe: str,
    output: Path,
    settings: dict[str, str],
    seed: int | None,
    smoke: bool,
    restart: bool,
    data: Path | None,
    strategy: str,
) -> None:
    """Train RECIPE into a run folder, or resume a training that was interrupted.

    \b
    Example:
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn --set epochs=20
    """
    from zoo.recipes import resolve_recipe
    from zoo.runs.run import load_card
    from zoo.training.checkpoints import is_finished

    command = ["onebit", "zoo", "train", recipe, "-o", str(output)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    command += ["--seed", str(seed)] if seed is not None else []
    command += ["--smoke"] if smoke else []
    command += ["--data", str(data)] if data is not None else []
    command += ["--strategy", strategy] if strategy != "auto" else []
    line = shlex.join(command)

    resolved = resolve_recipe(recipe, settings, seed=seed, smoke=smoke)
    if is_finished(output, resolved) and not restart:
        card = load_card(output)
        click.echo(f"{output} is finished: {_accuracy(card)}; --restart trains again")
        return
    import zoo
    from zoo.training.distribution import WorkerLostError

    try:
        run = zoo.train(
            resolved, output, data=data, restart=restart, command=line, strategy=strategy
        )
    except WorkerLostError as error:
        # TensorFlow's cluster cannot be joined again within a process.
        click.echo(f"{error}\nrestarting to wait for it", err=True)
        again = [argument for argument in sys.orig_argv[1:] if argument != "--restart"]
        os.execv(sys.executable, [sys.executable, *again])  # noqa: S606
    except KeyboardInterrupt:
        click.echo(f"interrupted; resume with: {line}", err=True)
        click.get_current_context().exit(130)
    click.echo(f"{output}: {_accuracy(run.card)}")


def _accuracy(card: Any) -> str:
    recorded = card["accuracy"]
    return f"{recorded['value']:.2%} of {recorded['samples']:,} {recorded['split']} images correct"


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@format_option()
def evaluate(run: Path, format_: str) -> None:
    """Measure a run's accuracy again and compare it with its model card.

    Exits with 1 when they differ by more than rounding explains.

    \b
    Example:
      onebit zoo evaluate runs/bnn
    """
    import zoo

    loaded = zoo.load_run(run)
    result = zoo.evaluate(loaded)
    record = {
        "run": str(run),
        "model": loaded.card["name"],
        "dataset": loaded.card["dataset"]["name"],
        **dataclasses.asdict(result),
        "agrees": result.agrees,
    }
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
    if format_ == "table":
        for key in ("accuracy", "card_accuracy", "latent_weights_accuracy"):
            record[key] = None if record[key] is None else f"{record[key]:.2%}"
        record["agrees"] = "yes" if result.agrees else "no"
    emit([record], format_, columns=columns)
    if not result.agrees:
        click.get_current_context().exit(1)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .npz file."
)
def export(run: Path, output: Path) -> None:
    """Write a run's weights, a bit for each binary one, and their card as OUTPUT's .json.

    \b
    Example:
      onebit zoo export runs/bnn -o bnn.npz
      python -c "import zoo; zoo.build('binary_net_mlp', weights='bnn.npz')"
    """
    require_suffix(output, ".npz")
    require_writable(output)
    import zoo

    zoo.export(zoo.load_run(run), output)
    click.echo(f"{output}: {output.stat().st_size:,} bytes; its card is {output.stem}.json")


if __name__ == "__main__":
    main(prog_name="python -m zoo")
