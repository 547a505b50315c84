"""`onebit zoo import`: weights that were trained elsewhere."""

from pathlib import Path

import click

from onebit.cli import command_line, require_suffix
from onebit.errors import UsageError, near_matches
from onebit.files import replacing
from onebit.imports import import_option
from zoo.commands.train import accuracy_line
from zoo.commands.training_options import data_option, read_settings


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
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=read_settings,
    help="Change an option of the model, or the recipe's data set; may be repeated.",
)
@data_option
def import_(
    weights: Path,
    name: str,
    map_: Path,
    output: Path,
    settings: list[tuple[str, str]],
    data: Path | None,
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
    from zoo.models import models
    from zoo.recipes import model_options, recipes, resolve_recipe
    from zoo.runs.state_dicts import load_state_dict, read_map

    if name in recipes.names():
        from zoo.training.importing import import_run

        recipe, places = resolve_recipe(name, dict(settings)), read_map(map_)
        line = command_line("zoo")
        run = import_run(recipe, weights, places, output, data=data, command=line)
        click.echo(f"{output}: {accuracy_line(run.card)}")
        return
    if name not in models.names():
        known = near_matches(name, [*recipes.names(), *models.names()])
        raise UsageError(f"there is no recipe or model {name!r}; {known}")
    require_suffix(output, ".keras")
    from zoo.factory import build
    from zoo.runs.tensor_files import read_tensors

    places, tensors = read_map(map_), read_tensors(weights)
    model = build(name, **model_options(name, dict(settings)))
    load_state_dict(model, tensors, places, str(weights))
    with replacing(output) as temporary:
        model.save(temporary)
    click.echo(f"{output}: {name} with the weights of {weights}")
