"""Sources that are models of Larq's Keras 2: files, run folders, models of the zoo."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.commands.data import is_run, run_samples
from convert.commands.options import Loading
from convert.samples import Samples

if TYPE_CHECKING:
    import zoo
    from onebit.keras import keras


@dataclass(frozen=True)
class Loaded:
    """A model with its name, its card and its own samples."""

    model: "keras.Model"
    name: str
    card: dict[str, Any] | None = None
    samples: Samples | None = None


def load(source: str, loading: Loading) -> Loaded:
    """The model that a source names: `zoo:NAME`, `zoo:NAME@DATASET`, a run folder or a file."""
    import zoo
    from convert.keras_model.loading import load_model
    from convert.model_files import load_custom_objects
    from onebit.keras import keras

    objects = load_custom_objects(loading.custom_objects) if loading.custom_objects else {}
    if source.startswith("zoo:"):
        name, _, weights = source.removeprefix("zoo:").partition("@")
        if not weights:
            return Loaded(zoo.build(name), name)
        return _of_run(zoo.load_trained(name, weights))
    path = Path(source)
    if is_run(path):
        with keras.utils.custom_object_scope(objects):
            return _of_run(zoo.load_run(path))
    loaded = load_model(path, objects, loading.allow_code)
    return Loaded(loaded, loaded.name)


def _of_run(run: "zoo.Run") -> Loaded:
    return Loaded(run.model, run.card["name"], dict(run.card), run_samples(run))
