"""Network families, one file each, and their registry.

A model is a decorated function:

    @register_model(family="BinaryConnect", kind="binary weights", paper=PAPER)
    def binary_connect_mlp(input_shape=(28, 28, 1), classes=10, *, units=1024) -> keras.Model: ...

Its name is the function's, its options are the function's parameters.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from onebit.errors import UsageError, near_matches
from zoo.registry import Registry

if TYPE_CHECKING:
    from onebit.keras import keras

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Paper:
    """Where a model comes from; `arxiv` is the paper's id there."""

    title: str
    arxiv: str


@dataclass(frozen=True)
class Model:
    """A registered model builder and what is known about it.

    Attributes:
        kind: What is binary: one of `KINDS`.
        paper: Where its binarisation comes from; None for a float network.
        float_baseline: The registered float network of the same shape, if there is one.
    """

    name: str
    builder: Callable[..., keras.Model]
    family: str
    kind: str
    paper: Paper | None
    float_baseline: str | None

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
        """Option → annotated type, else that of its default; text where neither says one."""
        types = typing.get_type_hints(self.builder)
        defaults = {
            name: type(default) if isinstance(default, bool | int | float) else str
            for name, default in self.options.items()
        }
        return {name: types.get(name, defaults[name]) for name in self.options}

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


models: Registry[Model] = Registry("model", __name__)

KINDS = (
    "float",
    "binary weights",
    "binary weights, 2-bit activations",
    "binary activations",
    "binary weights and activations",
)


def register_model(
    *, family: str, kind: str, paper: Paper | None = None, float_baseline: str | None = None
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
        models.add(name, Model(name, builder, family, kind, paper, float_baseline))
        return builder

    return register
