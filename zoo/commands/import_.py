"""`onebit zoo import`: weights that were trained elsewhere."""

from pathlib import Path

import click

from onebit.cli import command_line, force_option, require_suffix
from onebit.console import working
from onebit.errors import OnebitError, UsageError, near_matches
from onebit.files import is_empty, replacing, require_writable
from onebit.imports import import_option
from zoo.commands.train import accuracy_line
from zoo.commands.training_options import data_option, settings_option


@click.command("import")
@import_option
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("name")
@click.option(
    "--map",
    "map_",
    required=True,
    type=click.Path(path_type=Path),
    help="A JSON file: names in WEIGHTS, and which layers or weights they are here.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The run folder of a recipe, or the .keras file of a model.",
)
@settings_option("Change an option of the model, or the recipe's data set; may be repeated.")
@data_option
@force_option
def import_(
    weights: Path,
    name: str,
    map_: Path,
    output: Path,
    settings: list[tuple[str, str]],
    data: Path | None,
    force: bool,
) -> None:
    """Load PyTorch's WEIGHTS, a .safetensors or .npz file, into the model NAME.

    NAME is a recipe, whose data set the accuracy is then measured on, or a model. A map of names
    says which tensor is which weight; layouts become Keras'. Whatever is missing, left over or of
    another shape is an error.

    \b
    Example:
      onebit zoo import bnn.safetensors binary_net_mlp_mnist_5k --map map.json -o runs/imported
      onebit zoo import bnn.npz binary_net_mlp --map map.json --set units=256 -o bnn.keras
    """
    with working():
        from zoo.models import models
        from zoo.recipes import recipes

        known = [*recipes.names(), *models.names()]
    if name not in known:
        raise UsageError(f"there is no recipe or model {name!r}; {near_matches(name, known)}")
    options = dict(settings)
    with working(f"reading {weights}"):
        if name in recipes.names():
            written = _write_run(weights, name, map_, output, options, data)
        else:
            written = _write_model(weights, name, map_, output, options, force)
    click.echo(f"{output}: {written}")


def _write_run(
    weights: Path, name: str, map_: Path, output: Path, settings: dict[str, str], data: Path | None
) -> str:
    """Writes the run folder of a recipe with these weights; its accuracy, in words."""
    from zoo.recipes import resolve_recipe
    from zoo.runs.state_dicts import read_map
    from zoo.training.importing import import_run

    recipe, places = resolve_recipe(name, settings), read_map(map_)
    run = import_run(recipe, weights, places, output, data=data, command=command_line("zoo"))
    return accuracy_line(run.card)


def _write_model(
    weights: Path, name: str, map_: Path, output: Path, settings: dict[str, str], force: bool
) -> str:
    """Writes a model with these weights to a .keras file; both in words."""
    from zoo.factory import build
    from zoo.recipes import model_options
    from zoo.runs.state_dicts import load_state_dict, read_map
    from zoo.runs.tensor_files import read_tensors

    require_suffix(output, ".keras")
    require_writable(output)
    if not force and not is_empty(output):
        raise OnebitError(f"{output} exists", hint="give another path, or pass --force")
    places, tensors = read_map(map_), read_tensors(weights)
    model = build(name, **model_options(name, settings))
    load_state_dict(model, tensors, places, str(weights))
    with replacing(output) as temporary:
        model.save(temporary)
    return f"{name} with the weights of {weights}"
