"""Sources that become binary by way of a float file: one, a model of Keras 3, a SavedModel."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.commands.data import is_run, verification_samples
from convert.commands.options import Loading, Verifying

if TYPE_CHECKING:
    from convert.int8.settings import Int8
    from convert.samples import Expected, Samples
    from convert.tflite.graph import Graph


def goes_by_float_file(source: str, loading: Loading) -> bool:
    """Whether a source is one of these."""
    from convert.sources import goes_by_float_file as file_goes

    path = Path(source)
    by_zoo = source.startswith("zoo:") or is_run(path)
    return not by_zoo and file_goes(path, loading.allow_code)


@contextlib.contextmanager
def opened(source: str, loading: Loading) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The source's float file, and options of `convert_file` for it."""
    import zoo  # noqa: F401 - names its Keras 3 layers to the process that loads the model
    from convert.sources import opened_float_file

    path = Path(source)
    with opened_float_file(path, loading.custom_objects, loading.allow_code) as found:
        yield found


def samples_for(
    graph: "Graph", expected: "Expected", verifying: Verifying, int8: "Int8 | None" = None
) -> "Samples":
    """The first samples of the user's data, else those of int8, else a few random ones."""
    from convert.file_conversion import default_file_samples

    return verification_samples(
        verifying, expected, None, lambda: default_file_samples(graph, int8)
    )
