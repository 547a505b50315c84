"""Which test images a network has wrong, and what follows for the difference of two networks.

Two networks that see the same test images are compared image by image: the standard error of their
difference is then that of other images, without what makes an image hard for both.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.cli import markdown_table

BySeed = Mapping[int, NDArray[np.bool_]]
"""Seed → which test images are wrong, `[N]`."""


def wrong_images(run: Any, test: Any) -> NDArray[np.bool_]:
    """Whether a run's model classifies each image of a split wrongly, `[N]`."""
    from zoo.training.evaluation import classified_right

    return ~classified_right(run.model, test, run.preprocessing)


def packed_wrong_images(run: Any, test: Any) -> dict[str, str | None]:
    """Two entries of a row: what is wrong with binary weights, and with latent ones.

    The second is None where weights were not drawn: nobody would test with latent weights then.
    """
    from zoo.training.batch_norm import latent_weights, with_moments

    latent = None
    if run.latent_moments is not None:
        with latent_weights(run.model), with_moments(run.model, run.latent_moments):
            latent = packed(wrong_images(run, test))
    return {"wrong": packed(wrong_images(run, test)), "latent_weights_wrong": latent}


def packed(wrong: NDArray[np.bool_]) -> str:
    """A bit an image, the first image's in the highest bit of the first byte, as base64."""
    return base64.b64encode(np.packbits(wrong).tobytes()).decode()


def unpacked(text: str, images: int) -> NDArray[np.bool_]:
    """The array that `packed` was made of."""
    bits = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(bits, count=images).astype(bool)


def standard_error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean of independent values."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def share_error(share: float, samples: int) -> float:
    """The standard error of a share of independent samples."""
    return (share * (1 - share) / samples) ** 0.5


def mean_and_error(values: NDArray[np.float64]) -> str:
    """The mean of some seeds' percentages, with its standard error where there are several."""
    spread = f" ± {standard_error(values):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


@dataclass(frozen=True)
class Difference:
    """How many more images one training has wrong than another, seed by seed, in percent.

    Attributes:
        mean: Over the seeds that both have.
        seeds: How many these are.
        error_over_seeds: Its standard error, that of another training; None with one seed.
        error_over_images: Its standard error, that of other images; known with one seed too.
    """

    mean: float
    seeds: int
    error_over_seeds: float | None
    error_over_images: float

    def cells(self) -> list[str]:
        """The three columns of a table."""
        over_seeds = "–" if self.error_over_seeds is None else f"{self.error_over_seeds:.2f}"
        return [
            f"{self.mean:+.2f}",
            f"{over_seeds} ({self.seeds})",
            f"{self.error_over_images:.2f}",
        ]


def difference(own: BySeed, base: BySeed) -> Difference | None:
    """How two trainings' wrong images differ; None where no seed has both."""
    seeds = sorted(own.keys() & base.keys())
    if not seeds:
        return None
    # [seeds, images]
    differences = 100.0 * np.array([own[seed].astype(float) - base[seed] for seed in seeds])
    per_seed = differences.mean(1)
    return Difference(
        float(per_seed.mean()),
        len(seeds),
        standard_error(per_seed) if len(seeds) > 1 else None,
        standard_error(differences.mean(0)),
    )


def wrong_by_seed(
    rows: Iterable[Mapping[str, Any]], key: str = "wrong", images: str = "samples"
) -> BySeed:
    """The wrong images of a training's rows.

    Args:
        rows: One for each seed.
        key: Their entry that `packed` made.
        images: Their entry that says how many images there are.
    """
    return {row["seed"]: unpacked(row[key], row[images]) for row in rows}


def difference_cells(own: BySeed, base: BySeed) -> list[str]:
    """The three columns of `Difference`; dashes where no seed has both."""
    found = difference(own, base)
    return found.cells() if found else ["–"] * 3


def pairs_table(
    pairs: Iterable[tuple[str, str]], wrong: Mapping[str, BySeed], samples: str = "images"
) -> str:
    """How much pairs of trainings differ, as Markdown: a line each that has a common seed.

    Args:
        pairs: The labels of two trainings: the first's errors minus the second's.
        wrong: Label → its wrong images.
        samples: How the heading calls these.
    """
    lines = []
    for first, second in pairs:
        found = difference(wrong.get(first, {}), wrong.get(second, {}))
        if found:
            lines.append([first, second, *found.cells()])
    headings = ["more errors of", "than of", "points", "s.e. over seeds", f"s.e. over {samples}"]
    return markdown_table(lines, headings)
