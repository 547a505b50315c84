"""Names → builders, data sets and recipes.

A model is a decorated function:

    @register_model(family="BinaryConnect", kind="binary weights", paper=BINARY_CONNECT)
    def binary_connect_mlp(input_shape=(28, 28, 1), classes=10, *, units=1024) -> keras.Model: ...

Its name is the function's, its options are the function's parameters. Every module of
`zoo.models`, `zoo.datasets` and `zoo.recipes` is imported at the first lookup, so that a new file
is registered by being there.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from onebit.errors import OnebitError, UsageError, first_line, near_matches

if TYPE_CHECKING:
    from onebit.keras import keras

Entry = TypeVar("Entry")
Builder = TypeVar("Builder", bound=Callable[..., Any])


class Registry(Generic[Entry]):
    """Entries of one kind by name.

    Args:
        kind: What an entry is called in messages.
        package: The package whose modules register the entries; None when nothing is imported.
    """

    def __init__(self, kind: str, package: str | None = None):
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> None:
        """Registers an entry.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"there are two {self.kind}s named {name}")
        self._entries[name] = entry

    def names(self) -> list[str]:
        """All names in alphabetical order."""
        self._import_modules()
        return sorted(self._entries)

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UsageError: There is none; the message offers near matches.
        """
        known = self.names()
        if name not in self._entries:
            raise UsageError(f"there is no {self.kind} {name!r}; {near_matches(name, known)}")
        return self._entries[name]

    def _import_modules(self) -> None:
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._package = None


@dataclass(frozen=True)
class Paper:
    """Where a model comes from; `arxiv` is the paper's id there."""

    title: str
    arxiv: str


BINARY_CONNECT = Paper(
    "BinaryConnect: Training Deep Neural Networks with binary weights during propagations",
    "1511.00363",
)
BINARY_NET = Paper(
    "Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations "
    "Constrained to +1 or -1",
    "1602.02830",
)


BIT = Paper("BiT: Robustly Binarized Multi-distilled Transformer", "2205.13016")


@dataclass(frozen=True)
class Model:
    """A registered model builder and what is known about it.

    Attributes:
        kind: What is binary: one of `KINDS`.
        paper: Where its binarisation comes from; None for a float network.
        twin: The registered float network of the same shape, if there is one.
    """

    name: str
    builder: Callable[..., keras.Model]
    family: str
    kind: str
    paper: Paper | None
    twin: str | None

    @property
    def summary(self) -> str:
        """The first line of the builder's docstring."""
        return (inspect.getdoc(self.builder) or "").partition("\n")[0]

    @property
    def takes_text(self) -> bool:
        """Whether its input is token ids `[N, S]` instead of images `[N, H, W, C]`."""
        return "vocabulary" in self.options

    @property
    def options(self) -> Mapping[str, Any]:
        """Option → default."""
        parameters = inspect.signature(self.builder).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    @property
    def option_types(self) -> Mapping[str, Any]:
        """Option → annotated type."""
        types = typing.get_type_hints(self.builder)
        return {name: types[name] for name in self.options}

    def build(self, **options: Any) -> keras.Model:
        """The Keras model, freshly initialised.

        Raises:
            UsageError: The builder has no such option.
        """
        for option in options:
            if option not in self.options:
                raise UsageError(
                    f"{self.name} has no option {option!r}; {near_matches(option, self.options)}"
                )
        return self.builder(**options)


models: Registry[Model] = Registry("model", "zoo.models")

KINDS = (
    "float",
    "binary weights",
    "binary weights, 2-bit activations",
    "binary activations",
    "binary weights and activations",
)


def register_model(
    *, family: str, kind: str, paper: Paper | None = None, twin: str | None = None
) -> Callable[[Builder], Builder]:
    """A decorator that registers a builder under its function's name.

    Raises:
        ValueError: The name is taken, or `kind` is none of `KINDS`.
        TypeError: The builder takes options that it does not name, or one without a default.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")

    def register(builder: Builder) -> Builder:
        for parameter in inspect.signature(builder).parameters.values():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                raise TypeError(f"{builder.__name__} must name each of its options")
            if parameter.default is parameter.empty:
                raise TypeError(f"{builder.__name__}: option {parameter.name} has no default")
        name = builder.__name__
        models.add(name, Model(name, builder, family, kind, paper, twin))
        return builder

    return register


def names() -> list[str]:
    """The names of all registered models."""
    return models.names()


def build(name: str, *, weights: str | None = None, **options: Any) -> keras.Model:
    """The registered model of that name, freshly initialised or with trained weights.

    Args:
        name: A registry name; `zoo.names()` lists them.
        weights: The data set that weights which ship were trained on, the path of an exported
            `.npz` file, or, for a model of larq-zoo, "imagenet". None for random weights.
        options: The builder's own options, for example `input_shape=(32, 32, 3)`.

    Raises:
        UsageError: The model, its weights or one of the options is unknown.
        OnebitError: The options do not go together, or the weights are damaged.
    """
    if weights is not None and "weights" not in models.get(name).options:
        from zoo.packed_weights import load_trained

        return load_trained(name, weights, **options).model
    if weights is not None:
        options["weights"] = weights
    try:
        return models.get(name).build(**options)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{option}={value!r}" for option, value in options.items())
        raise OnebitError(
            f"{name} cannot be built with {given or 'its defaults'}: {first_line(error)}"
        ) from error
