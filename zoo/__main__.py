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
from onebit.errors import UsageError
from onebit.files import require_writable
from onebit.imports import arguments, import_option

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
@import_option
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
@import_option
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
@import_option
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
    command += arguments()
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
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option("--mean", "means", is_flag=True, help="A line for all seeds: mean, standard error.")
@click.option("--history", is_flag=True, help="A line for each epoch of each run.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CURVES.svg|png",
    help="Draw accuracies by epoch: the mean over seeds, and a band from the least to the most.",
)
@format_option()
def runs(
    folders: tuple[Path, ...], means: bool, history: bool, plot: Path | None, format_: str
) -> None:
    """List the run folders at or below FOLDERs (default: runs), finished or not.

    A run's changes are the settings in which it differs from the other runs of its recipe.

    \b
    Example:
      onebit zoo runs
      onebit zoo runs runs/sweep --mean --format csv
      onebit zoo runs runs/a runs/b --plot curves.svg
    """
    from zoo.runs import overview

    if means and history:
        raise UsageError("--mean and --history contradict each other")
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise UsageError(f"the plot {plot} must end in .svg or .png")
    found = overview.find_trainings(folders or (Path("runs"),))
    if plot is not None:
        overview.draw_curves(found, plot)
    if history:
        emit(overview.history_lines(found), format_)
        return
    lines = overview.mean_lines(found) if means else overview.summary_lines(found)
    if format_ != "table":
        emit(lines, format_)
        return
    for line in lines:
        for key in ("val_accuracy", "accuracy", "latent_weights_accuracy", "standard_error"):
            if line.get(key) is not None:
                line[key] = f"{line[key]:.2%}"
        if not means:
            line["epochs"] = f"{line['epochs']} of {line.pop('planned_epochs')}"
    known = [key for key in lines[0] if any(line[key] is not None for line in lines)]
    emit(lines, format_, columns={key: RUN_COLUMNS[key] for key in known})


RUN_COLUMNS = {
    "run": "Run",
    "runs": "Runs",
    "recipe": "Recipe",
    "changes": "Changes",
    "seed": "Seed",
    "seeds": "Seeds",
    "epochs": "Epochs",
    "val_accuracy": "Validation",
    "accuracy": "Test",
    "latent_weights_accuracy": "With latent weights",
    "standard_error": "Standard error",
}


@main.command()
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
    import zoo
    from zoo.runs.run import load_card

    for folder in folders:  # before minutes are spent
        load_card(folder)
    records = []
    for folder in folders:
        loaded = zoo.load_run(folder)
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


@main.command()
@import_option
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
