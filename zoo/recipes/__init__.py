"""Recipes: everything that decides a training, one file a paper × data set.

A recipe is a frozen dataclass that a decorated function returns; its name is the function's, its
docstring states command, duration and expected accuracy:

    @register_recipe
    def binary_net_mlp_mnist_5k() -> Recipe: ...

`resolve_recipe` turns a name and a command line's settings into the recipe that is trained.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from onebit.dataclass_json import as_json
from onebit.errors import UsageError, near_matches
from zoo.datasets import datasets
from zoo.models import models
from zoo.recipes._recipe import Recipe, own_losses, register_loss
from zoo.registry import Registry

__all__ = [
    "ALIASES",
    "SETTABLE",
    "STAGES",
    "Recipe",
    "describe_recipe",
    "model_options",
    "own_losses",
    "recipes",
    "register_loss",
    "register_recipe",
    "resolve_recipe",
    "setting",
    "with_defaults",
]

SETTABLE = tuple(f.name for f in dataclasses.fields(Recipe) if f.metadata.get("settable"))
"""The fields that `--set` reaches, beside the model's options."""

STAGES = ("teacher", "start")
"""The trainings before this one; `teacher.KEY` and `start.KEY` are settings of theirs."""

COMMON = ("dataset", "compute")
"""The fields that `--set` changes in the trainings before this one, too."""

ALIASES = {"lr": "learning_rate"}
"""Names that `--set` takes too."""

_BOP = ("optimizer bop", lambda recipe: recipe.optimizer == "bop")
_ADAM = ("an optimizer other than sgd", lambda recipe: recipe.optimizer != "sgd")
_TEACHER = ("a teacher", lambda recipe: recipe.teacher is not None)
CONDITIONS: dict[str, tuple[str, Callable[[Recipe], Any]]] = {
    "adam_beta_1": _ADAM,
    "adam_epsilon": _ADAM,
    "bop_gamma": _BOP,
    "bop_threshold": _BOP,
    "decayed": ("weight_decay", lambda recipe: recipe.weight_decay),
    "final_learning_rate": (
        "a schedule other than steps",
        lambda recipe: recipe.schedule != "steps",
    ),
    "frequency_weight": _TEACHER,
    "keep_scales": (
        "a training to start from",
        lambda recipe: recipe.start or (recipe.teacher and recipe.init_from_teacher),
    ),
    "label_smoothing": (
        "a loss on labels, so without a teacher or with label_weight",
        lambda recipe: recipe.teacher is None or recipe.label_weight,
    ),
    "logits_weight": (
        "a teacher, without frequency_weight",
        lambda recipe: recipe.teacher is not None and not recipe.frequency_weight,
    ),
    "momentum": (
        "optimizer sgd or real_learning_rate",
        lambda recipe: recipe.optimizer == "sgd" or recipe.real_learning_rate,
    ),
}
"""Fields that need another one to be looked at: what that is, and whether a recipe has it."""

recipes: Registry[Callable[[], Recipe]] = Registry("recipe", __name__)


def register_recipe(function: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Registers a function that returns a recipe, under the function's name."""

    @functools.wraps(function)
    def named() -> Recipe:
        return dataclasses.replace(function(), name=function.__name__)

    recipes.add(function.__name__, named)
    return named


def describe_recipe(name: str) -> str:
    """The docstring of the registered recipe."""
    return inspect.getdoc(recipes.get(name)) or ""


def resolve_recipe(
    name: str,
    settings: Mapping[str, str] | None = None,
    *,
    seed: int | None = None,
    smoke: bool = False,
) -> Recipe:
    """The registered recipe with settings applied.

    Args:
        name: Registry name of the recipe.
        settings: Key → value as text, converted to the type of the recipe's field or of the model's
            option; `teacher.KEY` and `start.KEY` set one of an earlier training.
        seed: Replaces the recipe's seed, and those of earlier trainings.
        smoke: Shrink the run first.

    Raises:
        UsageError: The recipe or a key is unknown, a value does not fit its type, or a setting
            would change nothing.
    """
    recipe = recipes.get(name)()
    return _with_settings(recipe.smoke() if smoke else recipe, settings or {}, seed)


def setting(recipe: Recipe, key: str) -> tuple[Any, Any]:
    """The type and the value of what `--set KEY=…` changes in a recipe.

    Raises:
        UsageError: There is no such setting.
    """
    stage, _, rest = key.partition(".")
    if rest and stage in STAGES and getattr(recipe, stage) is not None:
        return setting(getattr(recipe, stage), rest)
    key = ALIASES.get(key, key)
    if key in SETTABLE:
        return typing.get_type_hints(Recipe)[key], getattr(recipe, key)
    model = models.get(recipe.model)
    # The data set decides these two.
    types_ = {k: v for k, v in model.option_types.items() if k not in ("input_shape", "classes")}
    if key not in types_:
        known = near_matches(key, [*SETTABLE, *types_])
        raise UsageError(f"recipe {recipe.name} has no setting {key!r}; {known}")
    return types_[key], recipe.options.get(key, model.options[key])


def model_options(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Options of the registered model, converted from texts to their types.

    Raises:
        UsageError: The model or an option is unknown, or a value does not fit its type.
    """
    known = models.get(name).option_types
    for key in settings:
        if key not in known:
            raise UsageError(f"{name} has no option {key!r}; {near_matches(key, known)}")
    return {key: _parse(key, text, known[key]) for key, text in settings.items()}


def _with_settings(recipe: Recipe, settings: Mapping[str, str], seed: int | None) -> Recipe:
    """The recipe with its own settings and, behind a prefix, those of the trainings before it.

    These have the same of `COMMON`, unless a setting says otherwise.
    """
    fields: dict[str, Any] = {} if seed is None else {"seed": seed}
    options = dict(recipe.options)
    common = {key: settings[key] for key in COMMON if key in settings}
    for stage in STAGES:
        earlier, prefix = getattr(recipe, stage), f"{stage}."
        if earlier is not None:
            theirs = {
                k.removeprefix(prefix): v for k, v in settings.items() if k.startswith(prefix)
            }
            fields[stage] = _with_settings(earlier, {**common, **theirs}, seed)
            settings = {key: v for key, v in settings.items() if not key.startswith(prefix)}
    if recipe.assistants:
        fields["assistants"] = tuple(
            _with_settings(assistant, common, seed) for assistant in recipe.assistants
        )
    for key, text in settings.items():
        type_, _ = setting(recipe, key)
        key = ALIASES.get(key, key)
        target = fields if key in SETTABLE else options
        target[key] = _parse(key, text, type_)
        if key.endswith("_quantizer"):  # refuse unknown names before a run folder is made
            from zoo.layers.quantizers import binary_quantizer  # needs TensorFlow

            binary_quantizer(target[key])
    if "dataset" in fields:
        _check_dataset(recipe, fields["dataset"])
    changed = dataclasses.replace(recipe, options=options, **fields)
    for key, (needed, has) in CONDITIONS.items():
        if getattr(changed, key) != getattr(recipe, key) and not has(changed):
            raise UsageError(f"recipe {recipe.name}: {key} goes with {needed}")
    return changed


def _check_dataset(recipe: Recipe, name: str) -> None:
    """Refuses a data set of another kind of input than the recipe's preprocessing and model take.

    Raises:
        UsageError: There is no such data set, or it holds texts in place of images or the reverse.
    """
    given, own = datasets.get(name), datasets.get(recipe.dataset)
    if len(given.input_shape) != len(own.input_shape):
        texts, images = (
            (name, recipe.dataset) if len(own.input_shape) > 1 else (recipe.dataset, name)
        )
        raise UsageError(
            f"recipe {recipe.name} cannot train on {name}: {texts} holds texts, {images} images"
        )


def _parse(key: str, text: str, type_: Any) -> Any:
    """The value that `text` means for a field of that type."""
    # Python 3.10 makes Optional of a parameter whose default is None.
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        if text.lower() == "none":
            return None
        (type_,) = (member for member in typing.get_args(type_) if member is not types.NoneType)
    try:
        if typing.get_origin(type_) is tuple:
            member = typing.get_args(type_)[0]
            return tuple(member(part) for part in text.split(",") if part)
        if type_ is bool:
            return {"true": True, "false": False}[text.lower()]
        return type_(text)
    except (KeyError, ValueError):
        wanted = f"of type {getattr(type_, '__name__', type_)}"
        if type_ is bool:
            wanted = "true or false"
        elif typing.get_origin(type_) is tuple:
            wanted = f"of type {typing.get_args(type_)[0].__name__}, separated by commas"
        raise UsageError(f"{key} must be {wanted}, not {text!r}") from None


def with_defaults(recipe: Any) -> Any:
    """A recipe from a run's JSON with the defaults of fields that are newer than the run.

    Those of the trainings before it have them, too. Fields are in `Recipe`'s order, then those that
    it does not know; anything but a mapping stays as it is.
    """
    if not isinstance(recipe, dict):
        return recipe
    found = {
        field.name: recipe[field.name] if field.name in recipe else as_json(field.default)
        for field in dataclasses.fields(Recipe)
        if field.name in recipe or field.default is not dataclasses.MISSING
    }
    found |= {stage: with_defaults(found[stage]) for stage in STAGES}
    if isinstance(found["assistants"], list):
        found["assistants"] = [with_defaults(each) for each in found["assistants"]]
    return found | {key: value for key, value in recipe.items() if key not in found}
