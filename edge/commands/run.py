"""`onebit run`: one inference."""

import re
from fractions import Fraction
from pathlib import Path

import click
import numpy as np

from edge.bench.backends import BACKENDS
from edge.bench.prediction import Prediction, predict, read_facts
from edge.results.units import milliseconds
from edge.runner.cores import MAX_THREADS
from onebit.cli import emit, emit_document, force_option, format_option, require_suffix
from onebit.console import say
from onebit.errors import UsageError
from onebit.files import require_own, require_writable, write_arrays
from onebit.metadata import Normalization, read_labels

MOST_VALUES = 8
"""Values of an output that are printed."""

SUM_OF_PROBABILITIES = 1e-3


def _number(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`0.5`, `-1` or `1/127.5` as a number."""
    if value is None:
        return None
    over, _, under = value.partition("/")
    try:
        number = float(Fraction(over) / Fraction(under or "1"))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise click.BadParameter(f"{value!r} is not a number such as 0.5 or 1/127.5") from None
    limits = np.finfo(np.float32)  # in which pixels are scaled
    if number and not limits.tiny <= abs(number) <= limits.max:
        raise click.BadParameter(f"{value!r} is out of the range of float32")
    return number


@click.command()
@click.argument("file", metavar="MODEL.tflite", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "sources",
    multiple=True,
    required=True,
    metavar="[NAME=]PATH",
    help="An image, a wav file, an .npy array, an .npz file of samples, or a run folder. A model "
    "with several inputs takes NAME=PATH for each.",
)
@click.option(
    "--sample", type=click.IntRange(0), default=0, show_default=True, help="Which of the samples."
)
@click.option("--labels", type=click.Path(path_type=Path), help="The classes' names, a line each.")
@click.option(
    "--scale", callback=_number, metavar="NUMBER", help="Of pixels: scale * pixel + offset."
)
@click.option("--offset", callback=_number, metavar="NUMBER", help="Of pixels; 0 when absent.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Classes shown.")
@click.option(
    "--runtime",
    "--backend",
    "backend",
    metavar="NAME",
    help=f"The backend, one of {', '.join(BACKENDS)}. Default: LiteRT, with the delegate for files "
    "with Larq Compute Engine's ops.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    default=1,
    show_default=True,
    help="Number of threads.",
)
@click.option(
    "--runs", type=click.IntRange(1), default=10, show_default=True, help="Inferences to time."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the raw outputs, as .npz."
)
@force_option
@format_option("table", "json")
def run(
    file: Path,
    sources: tuple[str, ...],
    sample: int,
    labels: Path | None,
    scale: float | None,
    offset: float | None,
    top: int,
    backend: str | None,
    threads: int,
    runs: int,
    output: Path | None,
    force: bool,
    format_: str,
) -> None:
    """Run a .tflite file on one image, sound or array, and show its answer.

    Pixels become numbers, and classes get their names, as the metadata in the file say, else the
    conversion report beside it. Of a sound the first second is taken, as the MFCCs or log-mel
    energies that the model's input has the shape of. The time is a look only: `onebit edge bench`
    measures.

    \b
    Example:
      onebit run bnn.tflite --input digit.png
      onebit run ds_cnn.tflite --input yes.wav
      onebit run bnn.tflite --input runs/bnn --sample 3 -o answer.npz
    """
    if offset is not None and scale is None:
        raise UsageError("--offset needs --scale")
    if output is not None:
        require_suffix(output, ".npz")
        require_writable(output)
        require_own(output, _holds_outputs, force)
    if scale == 0:
        raise UsageError("--scale 0 would make all pixels equal")
    facts = read_facts(file)
    names = facts.labels if labels is None else read_labels(labels)
    pixels = None if scale is None else Normalization.from_scale([scale], [offset or 0.0])
    answer = predict(
        file,
        sources,
        backend=backend,
        threads=threads,
        runs=runs,
        number=sample,
        pixels=pixels,
        facts=facts,
    )
    if labels is not None and answer.scores is not None and len(names) != len(answer.scores):
        raise UsageError(
            f"{labels} has {len(names)} names, and the model {len(answer.scores)} classes",
            hint="give a line for each class",
        )
    classes = _top(answer, names, top)
    if output is not None:
        arrays = {f"output_{index}": array for index, array in enumerate(answer.outputs)}
        write_arrays(output, arrays)
    if format_ == "json":
        emit_document(_document(answer, classes))
        return
    if classes:
        emit([{key: _short(value) for key, value in line.items()} for line in classes], "table")
    else:
        for index, array in enumerate(answer.outputs):
            shown = ", ".join(f"{value:.6g}" for value in array.ravel()[:MOST_VALUES])
            more = ", …" if array.size > MOST_VALUES else ""
            click.echo(f"output {index}, {array.dtype} {list(array.shape)}: {shown}{more}")
    if answer.label is not None:
        name = names[answer.label] if answer.label < len(names) else answer.label
        click.echo(f"label: {name}")
    later = f", then {milliseconds(answer.later_ns)}" if answer.later_ns is not None else ""
    say(f"{answer.backend}: first inference {milliseconds(answer.first_ns)}{later}")


def _holds_outputs(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as content:
        return all(re.fullmatch(r"output_\d+", name) for name in content)


def _top(answer: Prediction, names: list[str], count: int) -> list[dict[str, object]]:
    """The classes with the highest scores; empty where the output is another shape."""
    scores = answer.scores
    if scores is None:
        return []
    total = float(scores.sum())
    likely = scores.dtype.kind == "f" and scores.min() >= 0
    heading = "probability" if likely and abs(total - 1) < SUM_OF_PROBABILITIES else "score"
    order = np.argsort(-scores.astype(np.float64), kind="stable")[:count]
    return [
        {
            "class": names[number] if number < len(names) else str(number),
            heading: scores[number].item(),
        }
        for number in map(int, order)
    ]


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def _document(answer: Prediction, classes: list[dict[str, object]]) -> dict[str, object]:
    return {
        "backend": answer.backend,
        "classes": classes,
        "label": answer.label,
        "outputs": [array.tolist() for array in answer.outputs],
        "first_ns": answer.first_ns,
        "later_ns": answer.later_ns,
    }
