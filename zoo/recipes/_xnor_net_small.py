"""Settings that the recipes of XNOR-Net for small images share, which are their program's.

https://github.com/jiecaoyu/XNOR-Net-PyTorch, MNIST/main.py and CIFAR_10/main.py: Adam at 0.01, a
tenth of it from each boundary on, batches of 128, weight decay 1e-5, cross-entropy.
"""

from zoo.recipes import Recipe


def lenet5(model: str, dataset: str, *, epochs: int = 60) -> Recipe:
    """LeNet-5: the rate falls after each quarter of the epochs, 15 of the program's 60."""
    return _recipe(model, dataset, epochs, tuple(k * epochs // 4 for k in (1, 2, 3)), {})


def nin(
    model: str,
    dataset: str,
    *,
    width: int = 192,
    epochs: int = 320,
    boundaries: tuple[int, ...] = (120, 200, 240, 280),
) -> Recipe:
    """Network in Network."""
    return _recipe(model, dataset, epochs, boundaries, {"width": width})


def _recipe(
    model: str,
    dataset: str,
    epochs: int,
    boundaries: tuple[int, ...],
    options: dict[str, int],
) -> Recipe:
    return Recipe(
        model=model,
        dataset=dataset,
        options=options,
        epochs=epochs,
        batch_size=128,
        learning_rate=1e-2,
        schedule="steps",
        boundaries=boundaries,
        factors=tuple(10.0**-power for power in range(1, len(boundaries) + 1)),
        loss="cross_entropy",
        weight_decay=1e-5,
        smoke_options={"width": 6},
    )
