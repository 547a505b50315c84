"""Settings that the recipes of FINN's networks share (arXiv 1612.07119; Brevitas' `bnn_pynq`)."""

from typing import Any

from zoo.datasets.preprocessing import SIGNED_8_BIT
from zoo.recipes import Recipe


def mlp(model: str, dataset: str, **fields: Any) -> Recipe:
    """TFC, SFC or LFC."""
    return _network(model, dataset, {"units": 16}, **fields)


def cnv(dataset: str, *, width: int, **fields: Any) -> Recipe:
    """CNV, whose first layer sees 8-bit pixels."""
    return _network("cnv_w1a1", dataset, {"width": 4}, options={"width": width}, **fields)


def _network(model: str, dataset: str, smoke_options: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset=dataset,
        batch_size=100,
        learning_rate=1e-2,
        final_learning_rate=1e-4,
        preprocessing=SIGNED_8_BIT,
        smoke_options=smoke_options,
        **fields,
    )
