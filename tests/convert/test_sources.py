import json
import zipfile

import h5py
import pytest

from convert.errors import SourceError
from convert.keras_model.loading import load_model
from convert.model_files import kind_of, load_custom_objects
from onebit.keras import keras, lq, tf
from tests.convert.models import images, mlp
from tests.support.damage import scrambled

CUSTOM_LAYER = """
from onebit.keras import keras, lq, tf


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""


@pytest.fixture(scope="module")
def model():
    return mlp()


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model"])
def test_every_format_loads_to_the_same_outputs(model, name, tmp_path):
    model.save(tmp_path / name, save_format="tf" if name == "saved_model" else None)
    loaded = load_model(tmp_path / name)
    inputs = images(4)
    assert (loaded(inputs).numpy() == model(inputs).numpy()).all()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"absent\.keras does not exist"):
        load_model(tmp_path / "absent.keras")


@pytest.mark.parametrize("name", ["notes.h5", "notes.keras"])
def test_text_file_is_no_model(name, tmp_path):
    (tmp_path / name).write_text("not a model")
    with pytest.raises(SourceError, match="is not a Keras model"):
        load_model(tmp_path / name)


def test_empty_folder_is_no_model(tmp_path):
    with pytest.raises(SourceError, match="neither a run folder"):
        load_model(tmp_path)


def test_saved_model_without_keras_is_refused(tmp_path):
    class Doubling(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3])])
        def __call__(self, inputs):
            return 2 * inputs

    tf.saved_model.save(Doubling(), str(tmp_path / "doubling"))
    with pytest.raises(SourceError, match="not that of a Keras 2 model"):
        load_model(tmp_path / "doubling")


def test_keras_3_file_names_its_version_and_the_fix(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.12.4"}))
        archive.writestr("config.json", "{}")
    with pytest.raises(
        SourceError, match=r"saved by Keras 3; Larq needs Keras 2.*onebit convert model"
    ):
        load_model(path)


@pytest.mark.parametrize("content", [{"config.json": "{}"}, {"metadata.json": "no json"}])
def test_other_zip_files_are_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    with pytest.raises(SourceError, match="not a Keras model"):
        load_model(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_scrambled_keras_files_raise_nothing_else(method, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps([{"number": number} for number in range(30)]))
    refused = 0
    for content in scrambled(path.read_bytes(), 300, seed=1):
        path.write_bytes(content)
        try:
            kind_of(path)
        except SourceError:
            refused += 1
    assert refused > 50


def test_truncated_h5_is_one_line(model, tmp_path):
    path = tmp_path / "model.h5"
    model.save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SourceError) as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_weights_only_are_not_taken_for_a_model(model, tmp_path):
    model.save_weights(tmp_path / "model.h5")
    with pytest.raises(SourceError, match="holds weights only"):
        load_model(tmp_path / "model.h5")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_unknown_custom_layer_is_named_and_loads_with_its_definition(name, tmp_path):
    definition = tmp_path / "my_layers.py"
    definition.write_text(CUSTOM_LAYER)
    objects = load_custom_objects(definition)
    image = keras.Input((3,))
    keras.Model(image, objects["Doubled"]()(image)).save(tmp_path / name)
    with pytest.raises(SourceError, match=r"custom object Doubled.*--custom-objects"):
        load_model(tmp_path / name)
    assert load_model(tmp_path / name, objects)(images(1, (3,))).shape == (1, 3)


def test_custom_objects_that_fail_are_named(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_this_name")
    with pytest.raises(SourceError, match=r"broken\.py fails: ModuleNotFoundError"):
        load_custom_objects(path)
    with pytest.raises(SourceError, match="is not a Python file"):
        load_custom_objects(tmp_path / "absent.py")


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model"])
def test_lambda_layer_runs_only_when_allowed(name, tmp_path):
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image))
    model.save(tmp_path / name, save_format="tf" if name == "saved_model" else None)
    with pytest.raises(SourceError, match=r"Lambda layer.*--allow-code"):
        load_model(tmp_path / name)
    inputs = images(2, (3,))
    loaded = load_model(tmp_path / name, allow_code=True)
    assert (loaded(inputs).numpy() == inputs + 1).all()


def changed(path, change):
    """The model file with another description of its layers."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = change(json.loads(file.attrs["model_config"]))
        return path
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["config.json"] = change(json.loads(files["config.json"]))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_lambda_layer_is_found_in_any_spelling(name, tmp_path):
    image = keras.Input((3,))
    keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image)).save(tmp_path / name)
    path = changed(tmp_path / name, lambda d: json.dumps(d).replace('"Lambda"', r'"\u004cambda"'))
    with pytest.raises(SourceError, match=r"Lambda layer.*--allow-code"):
        load_model(path)


def call_of(module, function, argument, **options):
    """A layer that is a function, called with a constant as the model is made."""
    layer = {"class_name": "function", "module": module, "config": function, "name": "called"}
    node = ["_CONSTANT_VALUE", -1, argument, options]
    return {**layer, "registered_name": "function", "inbound_nodes": [[node]]}


def tensorflow_call(function, *arguments, **options):
    config = {"name": "called", "dtype": "float32", "trainable": False, "function": function}
    layer = {"class_name": "TFOpLambda", "module": "keras.layers", "config": config}
    node = ["_CONSTANT_VALUE", -1, *arguments, options]
    return {**layer, "registered_name": None, "name": "called", "inbound_nodes": [[node]]}


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda mark: call_of("posix", "mkdir", mark), "mkdir of posix"),
        (lambda mark: call_of("tf_keras.src.saving.saving_lib", "os.mkdir", mark), "os.mkdir of"),
        (lambda mark: call_of("builtins", "open", mark, mode="w"), "open of builtins"),
        (lambda mark: tensorflow_call("io.write_file", mark, contents="x"), r"tf\.io\.write_file"),
        (lambda mark: tensorflow_call("compat.v1.write_file", mark, contents="x"), "write_file"),
        (lambda mark: tensorflow_call("print", "x", output_stream=f"file://{mark}"), r"tf\.print"),
    ],
    ids=["module", "in Keras", "builtin", "tensorflow", "old tensorflow", "print"],
)
def test_functions_that_a_description_names_are_not_called(name, layer, message, tmp_path):
    mark = tmp_path / "mark"
    image = keras.Input((3,))
    keras.Model(image, keras.layers.Dense(2)(image)).save(tmp_path / name)

    def change(description):
        description["config"]["layers"].append(layer(str(mark)))
        return json.dumps(description)

    with pytest.raises(SourceError, match=message):
        load_model(changed(tmp_path / name, change))
    assert not mark.exists()


def test_keras_3_h5_file_names_its_version_and_the_fix(tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "3.12.4"
        file.attrs["model_config"] = "{}"
    with pytest.raises(
        SourceError, match=r"saved by Keras 3; Larq needs Keras 2.*onebit convert model"
    ):
        load_model(path)


def dense_with(**options):
    return keras.Sequential([keras.Input((3,)), lq.layers.QuantDense(2, name="dense", **options)])


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_lambdas_that_only_training_needs_are_not_run(name, tmp_path):
    ran = []
    model = dense_with(
        kernel_initializer=lambda shape, dtype=None, **_: ran.append(1) or tf.ones(shape),
        kernel_regularizer=lambda weights: tf.reduce_sum(weights),
    )
    ran.clear()
    model.save(tmp_path / name)
    loaded, inputs = load_model(tmp_path / name), images(2, (3,))
    assert (loaded(inputs).numpy() == model(inputs).numpy()).all()
    assert ran == []


@pytest.mark.parametrize("option", ["activation", "input_quantizer"])
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_lambda_that_inference_needs_is_named_with_the_fix(name, option, tmp_path):
    dense_with(**{option: lambda x: tf.sign(x + 0.1)}).save(tmp_path / name)
    with pytest.raises(SourceError, match=f"a lambda as {option} of dense, .*with def"):
        load_model(tmp_path / name, allow_code=True)


def test_saved_model_with_lambdas_loads(tmp_path):
    model = dense_with(activation=lambda x: 2 * x)
    model.save(tmp_path / "model", save_format="tf")
    inputs = images(2, (3,))
    assert (load_model(tmp_path / "model")(inputs).numpy() == model(inputs).numpy()).all()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("m.onnx", "ONNX"), ("m.pt", "PyTorch"), ("m.tflite", r"float \.tflite file")],
)
def test_file_of_another_format_is_named(name, hint, tmp_path):
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(SourceError, match=f"is not a Keras model; .*{hint}"):
        load_model(tmp_path / name)
