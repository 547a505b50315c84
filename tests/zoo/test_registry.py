import subprocess
import sys

import pytest

import zoo
from onebit.errors import OnebitError, UsageError
from zoo.models import Model, models, register_model
from zoo.models.binary_net_mlp import PAPER as BINARY_NET
from zoo.registry import Registry


def test_names_hold_the_families_and_their_baselines():
    assert {"binary_connect_mlp", "binary_net_mlp", "binary_net_cnn"} <= set(zoo.names())
    assert {models.get(name).float_baseline for name in zoo.names()} - {None} <= set(zoo.names())


def test_every_binary_model_names_its_paper():
    for name in zoo.names():
        model = models.get(name)
        is_float = model.kind == "float"
        assert (model.paper is None) == is_float, name
        assert model.float_baseline is None or not is_float, name


def test_options_without_annotations_have_the_type_of_their_default():
    def net(input_shape=(8, 8, 1), units=64, rate=0.5, deep=False, name=None, *, width: int = 1):
        raise AssertionError(input_shape, units, rate, deep, name, width)

    model = Model("net", net, "Net", "float", None, None)
    types = {"units": int, "rate": float, "deep": bool, "name": str, "width": int}
    assert model.option_types == {"input_shape": str, **types}


def test_a_duplicate_name_raises():
    registry: Registry[int] = Registry("thing")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="two things named one"):
        registry.add("one", 2)


def test_an_unknown_name_raises_with_near_matches():
    with pytest.raises(UsageError, match="did you mean binary_net_mlp"):
        zoo.build("binary_net_mpl")


def test_an_unknown_option_raises_with_near_matches():
    with pytest.raises(UsageError, match="no option 'unit'; did you mean units"):
        zoo.build("float_mlp", unit=3)


def test_options_that_do_not_go_together_give_one_line():
    with pytest.raises(OnebitError, match=r"binary_net_cnn cannot be built.*at least 8×8") as small:
        zoo.build("binary_net_cnn", input_shape=(4, 4, 1), width=4)
    with pytest.raises(OnebitError, match="float_mlp cannot be built with units=-3") as negative:
        zoo.build("float_mlp", units=-3)
    with pytest.raises(OnebitError, match=r"units=0: .* weights of shape \(784, 0\)"):
        zoo.build("float_mlp", units=0)
    with pytest.raises(OnebitError, match="float_mlp cannot be built with layers=-1: list index"):
        zoo.build("float_mlp", layers=-1)
    assert "\n" not in str(small.value) + str(negative.value)


@pytest.mark.parametrize("kind", ["ternary", ""])
def test_an_unknown_kind_raises(kind):
    with pytest.raises(ValueError, match="kind is one of"):
        register_model(family="x", kind=kind, paper=BINARY_NET)


def test_a_builder_must_name_its_options():
    def catch_all(**options): ...

    def without_default(units: int): ...

    decorate = register_model(family="x", kind="float")
    with pytest.raises(TypeError, match="must name each"):
        decorate(catch_all)
    with pytest.raises(TypeError, match="units has no default"):
        decorate(without_default)
    assert "catch_all" not in zoo.names()


def test_importing_zoo_does_not_import_tensorflow():
    code = "import sys, zoo, zoo.__main__; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_attribute_raises():
    with pytest.raises(AttributeError, match="no attribute 'bild'"):
        zoo.bild  # noqa: B018
