"""Settings that the recipes of MLPerf Tiny's ResNet-8 share."""

from zoo.recipes import Recipe


def resnet8(
    model: str, dataset: str, *, epochs: int, batch_size: int, learning_rate: float, decay: float
) -> Recipe:
    """ResNet-8, binary or float; the rate ends at `decay` times its beginning."""
    return Recipe(
        model=model,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        final_learning_rate=learning_rate * decay,
        loss="cross_entropy",
        smoke_options={"width": 4},
    )
