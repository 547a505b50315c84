"""The costs of models side by side: how they compute, and the memory and time that it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.report.headline import HeadlineLine
from edge.results import units
from edge.results.row import Model, NotBinary, Row
from edge.results.tables import models_of

MOST_LAYERS = 3


@dataclass(frozen=True)
class ModelCosts:
    """A model for a decision between several.

    Attributes:
        model: The file, with its share of multiply-accumulates by kind.
        shares: Kind → share of the multiply-accumulates as text, the kinds that there are.
        reasons: Why the rest is not binary, the costliest first, a sentence each.
        arena_bytes: The delegate's memory for values, the least of all rows.
        line: Its fastest row, if it has one.
    """

    model: Model
    shares: dict[str, str]
    reasons: list[str]
    arena_bytes: int | None
    line: HeadlineLine | None


def model_costs(rows: Sequence[Row], fastest: Sequence[HeadlineLine]) -> list[ModelCosts]:
    """The costs of each model whose multiply-accumulates are known."""
    found = []
    for model in models_of(rows):
        macs = macs_by_kind(model)
        if not any(macs.values()):
            continue
        memories = [row.memory for row in rows if row.model == model and row.memory]
        arenas = [m.delegate_arena_bytes for m in memories if m.delegate_arena_bytes is not None]
        found.append(
            ModelCosts(
                model,
                {kind: f"{n / sum(macs.values()):.1%}" for kind, n in macs.items() if n},
                [_sentence(each, sum(macs.values())) for each in model.not_binary],
                min(arenas, default=None),
                min(
                    (line for line in fastest if line.model == model.name),
                    key=lambda line: line.p50_ns or float("inf"),
                    default=None,
                ),
            )
        )
    return found


def macs_by_kind(model: Model) -> dict[str, int]:
    """Multiply-accumulates by kind; all 0 where no conversion report counts them."""
    return {
        "binary": model.binary_macs or 0,
        "binary weights": model.binary_weight_macs or 0,
        "int8": model.int8_macs or 0,
        "float": model.float_macs or 0,
    }


def _sentence(each: NotBinary, total: int) -> str:
    """`stem, stem2 (float, 12.1% of the multiplications): its weights are real; fix: …`."""
    more = len(each.layers) - MOST_LAYERS
    names = ", ".join(each.layers[:MOST_LAYERS]) + (f" and {more} more" if more > 0 else "")
    share = f"{each.macs / total:.1%} of the multiplications" if each.macs else "no multiplications"
    fix = f"; fix: {each.fix}" if each.fix else ""
    return f"{names} ({each.kind}, {share}): {each.reason}{fix}"


def shares_text(costs: ModelCosts) -> str:
    """`85.2% binary, 14.8% float`."""
    return ", ".join(f"{share} {kind}" for kind, share in costs.shares.items()) or units.NONE
