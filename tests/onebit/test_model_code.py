"""Code in descriptions of Keras models is found, and parts of models are not taken for it."""

import sys

import pytest

from onebit.model_code import foreign_call, foreign_object, has_lambda_layer


def described(module, name, kind="class", registered=None):
    if kind == "function":
        return {"module": module, "class_name": kind, "config": name, "registered_name": kind}
    return {"module": module, "class_name": name, "config": {}, "registered_name": registered}


KNOWN = {"Mine>Layer", "my_sign"}.__contains__


@pytest.mark.parametrize(
    "entry",
    [
        described("keras.layers", "Dense"),
        described("keras.src.engine.functional", "Functional"),
        described("larq.layers", "QuantConv2D", registered="Larq>QuantConv2D"),
        described("zoo.layers.quantizers", "ApproxSign"),
        described("builtins", "relu", "function"),
        described("larq.quantizers", "ste_sign", "function"),
        described("mine", "Layer", registered="Mine>Layer"),
        described("mine", "my_sign", "function"),
        {"class_name": "Dense", "config": {"activation": "relu"}},
        {"class_name": "__tuple__", "items": [1, 2]},
        described("tensorflow.python.framework.tensor", "x") | {"class_name": "__typespec__"},
    ],
    ids=str,
)
def test_what_models_are_made_of_is_taken(entry):
    assert foreign_object([{"layers": [entry]}], KNOWN) is None


def test_file_that_the_user_imported_is_taken(monkeypatch):
    entry = described("onebit_imported_0_mine", "other", "function")
    assert foreign_object(entry, KNOWN) == "other of onebit_imported_0_mine"
    monkeypatch.setitem(sys.modules, "onebit_imported_0_mine", sys)
    assert foreign_object(entry, KNOWN) is None


@pytest.mark.parametrize(
    "entry",
    [
        described("posix", "system", "function"),
        described("builtins", "eval", "function"),
        described("keras.src.saving.saving_lib", "os.system", "function"),
        described("keras.src.saving.saving_lib", "shutil.rmtree"),
        described("keras.src.utils.data_utils", "get_file"),
        described("keras_of_others", "Dense"),
        described("mine", "Layer", registered="Yours>Layer"),
        described("posix", "system", "function") | {"registered_name": "my_sign"},
        described("mine", "my_sign", "function") | {"inbound_nodes": []},
        described("os", "x") | {"class_name": "__typespec__", "spec_name": "stat"},
    ],
    ids=str,
)
def test_code_of_others_is_named(entry):
    found = foreign_object([{"layers": [{"config": {"inner": entry}}]}], KNOWN)
    assert found is not None
    assert found.endswith(f" of {entry['module']}")


@pytest.mark.parametrize(
    ("function", "refused"),
    [
        ("math.add", False),
        ("__operators__.getitem", False),
        ("compat.v1.transpose", False),
        ("nn.relu6", False),
        ("reshape", False),
        ("keras.backend.sum", False),
        ("io.write_file", True),
        ("compat.v1.write_file", True),
        ("io.gfile.rmtree", True),
        ("raw_ops.WriteFile", True),
        ("py_function", True),
        ("load_op_library", True),
        ("keras.utils.get_file", True),
        ("print", True),
        ("compat.v1.Print", True),
        ("debugging.check_numerics", False),
        ("debugging.experimental.enable_dump_debug_info", True),
        ("nn.experimental.stateless_dropout", False),
        ("quantization.fake_quant_with_min_max_args", False),
        ("quantization.experimental.quantize_saved_model", True),
        ("compat.v1.disable_eager_execution", True),
        ("assert_equal", False),
        ("assertion_that_nobody_knows", True),
        ("a_function_of_a_later_version", True),
        ("compat.v1.assign", True),
        (None, False),
    ],
)
def test_tensorflow_functions_that_do_more_than_compute_are_named(function, refused):
    layer = {"class_name": "TFOpLambda", "config": {"function": function}}
    assert foreign_call({"layers": [layer]}) == (f"tf.{function}" if refused else None)


@pytest.mark.parametrize("name", ["Lambda", "keras.layers.Lambda", "Custom>Lambda"])
def test_lambda_layer_is_found_at_any_depth(name):
    description = {"class_name": name}
    for _ in range(5000):
        description = {"config": [description]}
    assert has_lambda_layer(description)
    assert not has_lambda_layer({"class_name": "LambdaCallback", "name": "Lambda"})
