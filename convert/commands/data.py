"""The samples that options name: `.npz` files, run folders and their cards."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.commands.options import Quantizing, Verifying
from convert.int8.settings import Int8
from convert.samples import (
    Expected,
    Samples,
    checked,
    first_samples,
    read,
    require_same_range,
    spread_samples,
)
from onebit.errors import OnebitError

if TYPE_CHECKING:
    import zoo


def is_run(path: Path) -> bool:
    """Whether a folder is one of `zoo train`."""
    return (path / "card.json").is_file() or (path / "config.json").is_file()


def run_samples(run: "zoo.Run") -> Samples:
    """A run's own samples, preprocessed as its model takes them."""
    from zoo.runs.run import preprocessed

    inputs = preprocessed(run.samples, run.preprocessing)
    return Samples([inputs], run.samples.labels, run.card["accuracy"]["split"])


def verification_samples(
    verifying: Verifying, expected: Expected, own: Samples | None, default: Callable[[], Samples]
) -> Samples:
    """The first samples of the user's data, else those that came with the model, else others.

    Args:
        verifying: The options.
        expected: The samples that the model takes.
        own: Samples that came with the model, whose range the data shall have.
        default: Makes the others.
    """
    path = verifying.verify_data
    if path is None:
        samples = own or default()
    elif _names_run(path):
        import zoo

        run = zoo.load_run(path if path.is_dir() else path.parent)
        samples = checked(run_samples(run), expected, str(path))
    else:
        samples = _read(path, expected, own)
    return first_samples(samples, verifying.sample_count)


def int8_settings(
    quantizing: Quantizing, expected: Expected, own: Samples | None = None
) -> Int8 | None:
    """The settings of a conversion to int8, with samples evenly spread over the user's data.

    Args:
        quantizing: The options.
        expected: The samples that the model takes.
        own: Samples that came with the model, whose range the data shall have.
    """
    path, most = quantizing.representative_data, quantizing.representative_samples
    if path is None:
        return None
    if _names_run(path):
        samples = checked(Samples([train_inputs(path, most)]), expected, str(path))
    else:
        samples = _read(path, expected, own)
    return Int8(
        spread_samples(samples, most),
        quantizing.int8_ranges,  # type: ignore[arg-type]
        quantizing.io,  # type: ignore[arg-type]
        quantizing.int8_scope,  # type: ignore[arg-type]
    )


def _names_run(path: Path) -> bool:
    return is_run(path) or path.name == "card.json"


def _read(path: Path, expected: Expected, own: Samples | None) -> Samples:
    samples = read(path, expected)
    if own is not None:
        require_same_range(samples, own, str(path))
    return samples


def train_inputs(path: Path, most: int) -> Any:
    """The training inputs of a run's data set, preprocessed as the run's model takes them."""
    import zoo
    from zoo.datasets import Split
    from zoo.runs.run import CONFIG, load_card, load_preprocessor, preprocessed, read_config
    from zoo.training.inputs import limited

    folder = path if path.is_dir() else path.parent
    card = load_card(folder)
    recipe = read_config(folder).get("recipe", {}) if (folder / CONFIG).is_file() else {}
    dataset = limited(
        zoo.load_dataset(card["dataset"]["name"]),
        recipe.get("samples"),
        recipe.get("train_samples"),
    )
    if dataset.sha256 != card["dataset"]["sha256"]:
        raise OnebitError(
            f"{path} was made with other data than {dataset.name} here",
            hint="pass an .npz file as --representative-data",
        )
    # Of records that lie in many files the first are read, not all.
    train = dataset.train
    split = train if isinstance(train, Split) else train.first(most)
    return preprocessed(split, load_preprocessor(folder, card))
