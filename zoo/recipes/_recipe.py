"""The fields of a recipe, and which of them go together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onebit.errors import UsageError
from zoo.datasets.preprocessing import MINUS_ONE_TO_ONE, Preprocessing
from zoo.registry import Registry

SMOKE_SAMPLES = 128
SMOKE_EPOCHS = 2
SMOKE_BATCH_SIZE = 32

SCHEDULES = ("exponential", "linear", "cosine", "steps")
LOSSES = ("squared_hinge", "cross_entropy")
OPTIMIZERS = ("adam", "adamw", "radam", "sgd", "bop")
COMPUTE = ("float32", "bfloat16")
DECAYED = ("kernels", "convolutions", "others")
SELECTIONS = ("last", "best", "best_latent")

COLDEST = 1e-7
"""A temperature below this is 0: annealed signs are signs."""

own_losses: Registry[Callable[[], Any]] = Registry("loss")
"""Losses beside `LOSSES`, which users' files register."""


def register_loss(function: Callable[[], Any]) -> Callable[[], Any]:
    """Registers a function that makes a loss, under the function's name.

    The loss is one as Keras takes it, of integer labels `[N]` or `[N, 1]` and logits
    `[N, classes]`.
    """
    own_losses.add(function.__name__, function)
    return function


MOST = 2**31
"""Whole numbers are below it, since TensorFlow counts steps and samples in 64 bits."""


def _setting(default: Any, **limits: Any) -> Any:
    """A field that `--set` reaches; `limits` are those of `_outside`."""
    return field(default=default, metadata={"settable": True, **limits})


def _outside(
    value: Any,
    *,
    settable: bool = False,
    above: float | None = None,
    at_least: float | None = None,
    below: float = math.inf,
    choices: tuple[str, ...] = (),
) -> str | None:
    """Which limit a field's value exceeds, as the end of a message; None if it keeps all."""
    if choices and value not in choices:
        return f"is one of {', '.join(choices)}, not {value!r}"
    if value is None or (above is None and at_least is None):
        return None
    below = MOST if isinstance(value, int) and below == math.inf else below
    bound = "" if below == math.inf or value < below else f" and below {below}"
    if above is not None and not above < value < below:
        return f"must be above {above}{bound}, not {value}"
    if at_least is not None and not at_least <= value < below:
        return f"must be at least {at_least}{bound}, not {value}"
    return None


@dataclass(frozen=True)
class Recipe:
    """One training, from the data to the last epoch.

    The optimizer minimises the loss; its learning rate goes, step by step, from `learning_rate`
    towards `final_learning_rate`, which the step after the last would have. The model of the last
    epoch is the result, unless `selection` says otherwise.

    Attributes:
        model: Registry name of the model.
        dataset: Registry name of the data set.
        name: Registry name; registering fills it in.
        options: The model's options; the data set decides `input_shape` and `classes`.
        epochs: Passes over the training split; 0 for a model whose option `weights` has trained it.
        batch_size: Images a step.
        learning_rate: Of the first step.
        final_learning_rate: Where the decay ends; not looked at by "steps".
        schedule: One of `SCHEDULES` (`zoo.training.schedules`).
        boundaries: Epochs at whose beginning, counted from 0, "steps" changes the rate.
        factors: What `learning_rate` is multiplied by from each boundary on.
        warmup_epochs: Epochs in which the rate first rises to `learning_rate`.
        loss: One of `LOSSES`, or registered with `register_loss`; with a teacher, of validation
            only.
        teacher: The training whose model this one is distilled from
            (`zoo.training.distillation`), or None.
        assistants: Trainings of further teachers, one of which the network learns from beside its
            teacher at a time: each for an equal share of the epochs, in order.
        init_from_teacher: Whether it also starts from its teacher's weights.
        start: The training whose weights this one starts from, or None. It is trained first; where
            it has the same teacher, both share it.
        label_weight: With a teacher, the factor of the loss on labels.
        logits_weight: The factor of the distributional loss, on the teacher's logits, a sum over
            classes; 1/classes makes it their mean.
        keep_scales: Whether elastic quantizers keep the scales of the training that this one starts
            from, instead of setting them by the first batch.
        attention_weight: The factor of the loss on where both pay attention.
        frequency_weight: The factor of the loss on high frequencies; above 0, it and the loss on
            labels take the place of the others (`zoo.training.high_frequency`).
        optimizer: One of `OPTIMIZERS`; "bop" flips the binary weights (`zoo.training.bop`),
            and Adam trains the others; "radam" is `zoo.training.optimizers.RectifiedAdam`.
        bop_gamma: Of Bop: how fast its averages follow the gradients.
        bop_threshold: Of Bop: what an average must reach for a flip.
        momentum: Of SGD.
        real_learning_rate: Of SGD, which then trains all weights that are not clipped to be binary,
            beside the optimizer for those that are; None for one optimizer.
        weight_decay: λ, whose product with each kernel is added to its gradient; with "adamw" each
            step takes that product, times the learning rate, from the kernel instead.
        decayed: What `weight_decay` is for, one of `DECAYED` (`zoo.training.optimizers`).
        label_smoothing: ε of the cross-entropy: the label gets 1 − ε + ε/C, other classes ε/C.
        gradient_norm: The norm to which longer gradients, of all weights together, are shortened.
        temperature_decay: With annealed signs (`zoo.layers.bnext_layers`), the factor of their
            temperature from epoch to epoch. It is 1 in the first, and must have come below
            `COLDEST` in the last, whose weights are then signs; None for signs all along.
        glorot_scaling: Scale the learning rates of latent weights by Glorot's coefficients
            (`zoo.training.optimizers`).
        fan_in_scaling: Multiply the gradients of latent weights by n, the weights of an output
            channel (`zoo.training.optimizers.FanInScaledSGD`).
        quantizer_learning_rate: Adam's first rate for the scales and thresholds of quantizers,
            which falls as the others' does; None for theirs.
        adam_epsilon: Adam's ε, added to the root of the mean squared gradient.
        adam_beta_1: Adam's β₁, the share that its mean gradient keeps from step to step.
        compute: What training multiplies in, one of `COMPUTE`; "bfloat16" keeps weights, sums and
            the final test in float32, and is faster where the processor has AMX or AVX-512 BF16.
            The validation after an epoch and the moments' estimate are multiplied in it too.
        seed: Of the initial weights, each epoch's order, dropout and stochastic signs.
        samples: How many images of each split are used; None for all.
        train_samples: How many of the training split; the others stay whole.
        selection: Which epoch's model is the result, one of `SELECTIONS`: the last, or that with
            the best validation accuracy, of the signs or of the latent weights
            (`zoo.training.selection`).
        validate_every: After how many epochs each the validation split is measured; after the last
            in any case. The best is the best of these epochs.
        estimate_moments: Estimate batch normalisation's moments again before each test, even where
            no weights are drawn (`zoo.training.batch_norm`).
        preprocessing: From raw pixels to the model's input; None for token ids.
        smoke_options: What `options` become in a smoke run.
        smoke_dataset: What takes the data set's place in a smoke run; None for itself.
    """

    model: str
    dataset: str = field(metadata={"settable": True})
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = _setting(60, at_least=0)
    batch_size: int = _setting(100, above=0)
    learning_rate: float = _setting(1e-3, above=0)
    final_learning_rate: float = _setting(1e-5, at_least=0)
    schedule: str = _setting("exponential", choices=SCHEDULES)
    boundaries: tuple[int, ...] = _setting(())
    factors: tuple[float, ...] = _setting(())
    warmup_epochs: int = _setting(0, at_least=0)
    loss: str = _setting("squared_hinge")
    teacher: Recipe | None = None
    assistants: tuple[Recipe, ...] = ()
    init_from_teacher: bool = True
    start: Recipe | None = None
    label_weight: float = field(default=0.0, metadata={"at_least": 0})
    logits_weight: float = _setting(1.0, at_least=0)
    keep_scales: bool = _setting(False)
    attention_weight: float = field(default=0.0, metadata={"at_least": 0})
    frequency_weight: float = _setting(0.0, at_least=0)
    optimizer: str = _setting("adam", choices=OPTIMIZERS)
    bop_gamma: float = _setting(1e-4, above=0)
    bop_threshold: float = _setting(1e-8, above=0)
    momentum: float = _setting(0.0, at_least=0, below=1)
    real_learning_rate: float | None = _setting(None, above=0)
    weight_decay: float = _setting(0.0, at_least=0)
    decayed: str = _setting("kernels", choices=DECAYED)
    label_smoothing: float = _setting(0.0, at_least=0, below=1)
    gradient_norm: float | None = _setting(None, above=0)
    temperature_decay: float | None = _setting(None, above=0, below=1)
    glorot_scaling: bool = _setting(False)
    fan_in_scaling: bool = _setting(False)
    quantizer_learning_rate: float | None = _setting(None, above=0)
    adam_epsilon: float = _setting(1e-7, above=0)
    adam_beta_1: float = _setting(0.9, at_least=0, below=1)
    compute: str = _setting("float32", choices=COMPUTE)
    seed: int = _setting(1, at_least=0, below=2**32)
    samples: int | None = _setting(None, above=0)
    train_samples: int | None = _setting(None, above=0)
    selection: str = _setting("last", choices=SELECTIONS)
    validate_every: int = _setting(1, above=0)
    estimate_moments: bool = _setting(False)
    preprocessing: Preprocessing | None = MINUS_ONE_TO_ONE
    smoke_options: Mapping[str, Any] = field(default_factory=dict)
    smoke_dataset: str | None = None

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            problem = _outside(getattr(self, entry.name), **entry.metadata)
            if problem:
                raise UsageError(f"{self.name}: {entry.name} {problem}")
        problem = self._problem()
        if problem:
            raise UsageError(f"{self.name}: {problem}")

    def _problem(self) -> str | None:
        """Which fields do not go together; None if all do."""
        if not self.epochs and not self.options.get("weights"):
            return "epochs must be above 0 without the option weights, which names trained ones"
        if self.assistants and self.teacher is None:
            return "assistants go with a teacher"
        if self.assistants and self.frequency_weight:
            return "assistants teach logits, and so do not go with frequency_weight"
        known = (*LOSSES, *own_losses.names())
        if self.loss not in known:
            return f"loss is one of {', '.join(known)}, not {self.loss!r}"
        if self.schedule == "exponential" and not self.final_learning_rate:
            return "final_learning_rate must be above 0 with schedule exponential"
        if (self.schedule == "steps") != bool(self.boundaries) or len(self.boundaries) != len(
            self.factors
        ):
            return "schedule steps needs boundaries and as many factors, the others neither"
        if (
            list(self.boundaries) != sorted(set(self.boundaries))
            or min(self.boundaries or (1,)) < 1
        ):
            return f"boundaries are epochs that rise, not {self.boundaries}"
        if not all(0 < factor < math.inf for factor in self.factors):
            return f"factors must be above 0, not {self.factors}"
        if self.glorot_scaling and (self.weight_decay or self.real_learning_rate):
            return "glorot_scaling goes with neither weight_decay nor real_learning_rate"
        if self.glorot_scaling and self.optimizer not in ("adam", "sgd"):
            return f"glorot_scaling goes with optimizer adam or sgd, not {self.optimizer}"
        if self.fan_in_scaling and (
            self.optimizer != "sgd" or self.glorot_scaling or self.weight_decay
        ):
            return "fan_in_scaling goes with optimizer sgd, without glorot_scaling and weight_decay"
        if self.quantizer_learning_rate and (
            self.optimizer != "adam" or self.glorot_scaling or self.real_learning_rate
        ):
            return (
                "quantizer_learning_rate goes with optimizer adam, "
                "without glorot_scaling and real_learning_rate"
            )
        if self.optimizer == "bop" and self.real_learning_rate:
            return "real_learning_rate goes with an optimizer other than bop, beside which Adam is"
        if self.gradient_norm and (self.optimizer == "bop" or self.real_learning_rate):
            return "gradient_norm goes with one optimizer, so neither bop nor real_learning_rate"
        if self.temperature(self.epochs):
            return (
                f"temperature_decay {self.temperature_decay} leaves a temperature of "
                f"{self.temperature(self.epochs):.1g} in the last of {self.epochs} epochs; give a "
                f"smaller one, or more epochs, so that it comes below {COLDEST}"
            )
        if self.temperature_decay and self.selection != "last":
            return "temperature_decay goes with selection last: earlier weights may not be signs"
        if self.label_smoothing and self.loss != "cross_entropy":
            return "label_smoothing goes with loss cross_entropy"
        return None

    @property
    def rate_depends_on_epochs(self) -> bool:
        """Whether an epoch's learning rates depend on how many epochs there are."""
        return self.schedule != "steps" and self.final_learning_rate != self.learning_rate

    @property
    def depends_on_epochs(self) -> bool:
        """Whether an epoch's learning rates or assistant depend on how many epochs there are."""
        return self.rate_depends_on_epochs or len(self.assistants) > 1

    def temperature(self, epoch: int) -> float:
        """That of annealed signs in an epoch, counted from 1; 0 for signs."""
        if self.temperature_decay is None:
            return 0.0
        value = self.temperature_decay ** (epoch - 1)
        return value if value >= COLDEST else 0.0

    def assistant(self, epoch: int) -> int:
        """The place in `assistants` of the one that teaches in an epoch, counted from 1.

        The last teaches in what comes after the recipe's epochs, as in an extended run.
        """
        return (min(epoch, self.epochs) - 1) * len(self.assistants) // self.epochs

    @property
    def staged(self) -> bool:
        """Whether other trainings come before this one."""
        return self.teacher is not None or self.start is not None

    def smoke(self) -> Recipe:
        """The same training in a few seconds: a few images, two epochs, a small model."""
        return dataclasses.replace(
            self,
            options={**self.options, **self.smoke_options},
            epochs=min(self.epochs or SMOKE_EPOCHS, SMOKE_EPOCHS),
            batch_size=min(self.batch_size, SMOKE_BATCH_SIZE),
            samples=SMOKE_SAMPLES,
            train_samples=None,
            dataset=self.smoke_dataset or self.dataset,
            boundaries=tuple(range(1, len(self.boundaries) + 1)),
            warmup_epochs=min(self.warmup_epochs, 1),
            temperature_decay=self.temperature_decay and COLDEST / 10,
            teacher=self.teacher and self.teacher.smoke(),
            assistants=tuple(assistant.smoke() for assistant in self.assistants),
            start=self.start and self.start.smoke(),
        )
