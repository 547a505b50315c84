"""A PyTorch state dict in a model of the zoo: layouts, names, equal outputs, complete errors."""

import json
import struct

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras, lq
from tests.support.damage import boastful_npz
from tests.support.torch_bnn import CONVS, DENSE, MAP, forward, state_dict
from zoo.__main__ import main
from zoo.runs.state_dicts import Place, load_state_dict, read_map
from zoo.runs.tensor_files import read_tensors

SHAPE = (16, 16, 2)
WIDTH = 2


@pytest.fixture(scope="module")
def model():
    return zoo.build("binary_net_cnn", input_shape=SHAPE, classes=5, width=WIDTH)


@pytest.fixture
def tensors():
    return state_dict(SHAPE, classes=5, width=WIDTH, seed=3)


def write_map(path, content=MAP):
    path.write_text(json.dumps(content))
    return path


def safetensors(arrays, **changed):
    """The content of a .safetensors file; `changed` replaces entries of its header."""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        data += array.tobytes()
        entry = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape)}
        header[name] = entry | {"data_offsets": offsets}
    text = json.dumps(header | changed).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_binary_network_gives_the_outputs_of_its_pytorch_form(model, tensors, tmp_path):
    load_state_dict(model, tensors, read_map(write_map(tmp_path / "map.json")))
    images = np.random.default_rng(5).normal(size=(6, *SHAPE)).astype(np.float32)
    expected = forward(tensors, images.transpose(0, 3, 1, 2))
    # Sums of at most 128 signs are exact; one normalisation rounds on either side.
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_other_order_of_flattened_values_gives_other_outputs(model, tensors):
    places = {key: Place(value if isinstance(value, str) else value["to"], "HWC")
              for key, value in MAP.items()}  # fmt: skip
    load_state_dict(model, tensors, places)
    kernel = model.get_layer("hidden_1").kernel.latent_variable.numpy()
    np.testing.assert_array_equal(kernel, tensors["fc1.weight"].T)


def test_depthwise_and_transposed_kernels_and_epsilons():
    inputs = keras.Input((5, 5, 3))
    x = lq.layers.QuantDepthwiseConv2D(2, depth_multiplier=2, use_bias=False, name="dw")(inputs)
    x = keras.layers.Conv2DTranspose(4, 3, use_bias=False, name="up")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name="bn")(x)
    network = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    tensors = {
        "dw.weight": rng.normal(size=(6, 1, 2, 2)).astype(np.float32),
        "up.weight": rng.normal(size=(6, 4, 3, 3)).astype(np.float32),
        "bn.weight": np.arange(4.0),
        "bn.bias": np.arange(4.0),
        "bn.running_mean": np.arange(4.0),
        "bn.running_var": np.ones(4),
        "bn.num_batches_tracked": np.array(7),
    }
    places = {"dw": Place("dw"), "up": Place("up"), "bn": Place("bn", epsilon=0.5)}
    load_state_dict(network, tensors, places)
    depthwise = network.get_layer("dw").get_weights()[0]
    # PyTorch's output channel 2·c + m is Keras' multiple m of channel c.
    np.testing.assert_array_equal(depthwise[1, 0, 2, 1], tensors["dw.weight"][5, 0, 1, 0])
    up = network.get_layer("up").get_weights()[0]
    np.testing.assert_array_equal(up[2, 0, 3, 5], tensors["up.weight"][5, 3, 2, 0])
    np.testing.assert_allclose(network.get_layer("bn").moving_variance, 1 + 0.5 - 1e-3)


def test_one_error_names_everything_that_does_not_fit(model, tensors):
    before = model.get_weights()
    tensors["fc2.weight"] = tensors["fc2.weight"][:, 1:]
    tensors["bn1.bias"] = np.full_like(tensors["bn1.bias"], np.nan)
    tensors["aux.weight"] = np.zeros(3)
    places = {key: Place(value["to"] if isinstance(value, dict) else value)
              for key, value in MAP.items()}  # fmt: skip
    del places["conv3"]
    places |= {"ghost": Place("hidden_1"), "conv2": Place("conv_9"), "conv1": Place("conv_1_2")}
    with pytest.raises(OnebitError) as caught:
        load_state_dict(model, tensors, places, "bnn.npz")
    assert str(caught.value) == (
        "bnn.npz does not fit binary_net_cnn: nothing is mapped to: conv_1_1/kernel, "
        "conv_2_1/kernel; tensors that the map does not name: conv3.weight, aux.weight; names in "
        "the map that the file lacks: ghost; names in the map that the model lacks: conv_9; the "
        'map must give the order of flattened values ("flatten": "CHW", as PyTorch has it, or '
        "HWC) for: fc1.weight; other shapes: fc2.weight becomes [15, 16], hidden_2/kernel is "
        "[16, 16]; not finite: bn1.bias"
    )
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("flatten", [keras.layers.Flatten(), keras.layers.Reshape((-1,))])
def test_order_of_flattened_values_must_be_said(flatten):
    inputs = keras.Input((2, 2, 3))
    x = keras.layers.BatchNormalization(name="bn")(flatten(inputs))
    network = keras.Model(inputs, keras.layers.Dense(2, name="fc")(x))
    rng = np.random.default_rng(0)
    parts = ("weight", "bias", "running_mean", "running_var")
    tensors = {f"bn.{part}": rng.uniform(1, 2, 12) for part in parts}
    tensors |= {"fc.weight": rng.normal(size=(2, 12)), "fc.bias": np.zeros(2)}
    with pytest.raises(OnebitError, match=r"the map must give the order .* for: bn.weight, .*fc.w"):
        load_state_dict(network, tensors, {"bn": Place("bn"), "fc": Place("fc")})
    places = {"bn": Place("bn", "CHW"), "fc": Place("fc", "CHW")}
    load_state_dict(network, tensors, places)
    images = rng.normal(size=(4, 2, 2, 3))
    x = images.transpose(0, 3, 1, 2).reshape(4, -1)
    x = (x - tensors["bn.running_mean"]) / np.sqrt(tensors["bn.running_var"] + 1e-5)
    x = x * tensors["bn.weight"] + tensors["bn.bias"]
    np.testing.assert_allclose(network(images), x @ tensors["fc.weight"].T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not a JSON object of names"),
        ({"fc": 3}, "fc must name a layer or weight, or be null"),
        ({"fc": {"flatten": "CHW"}}, "fc must name a layer or weight"),
        ({"fc": {"to": "x", "flatten": "WHC"}}, "fc has a flatten that is none of CHW, HWC"),
        ({"fc": {"to": "x", "epsilon": -1}}, "fc has an epsilon that is not a number from 0"),
        ({"fc": {"to": "x", "scale": 2}}, "fc has unknown keys: scale"),
    ],
)
def test_wrong_map_is_refused(tmp_path, content, message):
    with pytest.raises(OnebitError, match=message):
        read_map(write_map(tmp_path / "map.json", content))


def test_safetensors_are_read_with_all_their_types(tmp_path):
    rng = np.random.default_rng(0)
    single = rng.normal(size=(3, 2)).astype(np.float32)
    arrays = {"f": single, "h": single.astype(np.float16), "i": np.arange(4), "none": single[:0]}
    upper = (single.view(np.uint32) >> 16).astype(np.uint16)
    (tmp_path / "x.safetensors").write_bytes(safetensors({**arrays, "b": upper}))
    read = read_tensors(tmp_path / "x.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    np.testing.assert_allclose(read["b"], single, rtol=2**-7)  # bfloat16 holds 8 bits, cut off
    assert "__metadata__" not in read


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 4) + b"{{{{",
        *(struct.pack("<Q", len(header)) + header for header in (b"[]", b"null", b'"x"')),
        struct.pack("<Q", 2**60) + b"{}",
        safetensors({"x": np.zeros(4, np.float32)})[:-1],
        safetensors({"x": np.zeros(4, np.float32)}, x={"dtype": "F32"}),
        safetensors({"x": np.zeros(4, np.float32)}, x={"dtype": "Q4", "shape": [4],
                                                      "data_offsets": [0, 16]}),
        safetensors({"x": np.zeros(4, np.float32)}, x={"dtype": "F32", "shape": [5],
                                                      "data_offsets": [0, 16]}),
    ],
)  # fmt: skip
def test_damaged_safetensors_are_one_line(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(OnebitError, match=r"x.safetensors is damaged") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"x.pt is neither .* safetensors.torch.save_file"):
        read_tensors(tmp_path / "x.pt")
    with pytest.raises(OnebitError, match=r"x.npz does not exist"):
        read_tensors(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", objects=np.array([{}], object))
    with pytest.raises(OnebitError, match=r"x.npz is damaged"):
        read_tensors(tmp_path / "x.npz")


@pytest.fixture
def files(tmp_path):
    """Weights for `binary_net_cnn_mnist_5k` of width 2, and their map."""
    np.savez(tmp_path / "bnn.npz", **state_dict((28, 28, 1), classes=10, width=WIDTH, seed=4))
    return tmp_path / "bnn.npz", write_map(tmp_path / "map.json")


def invoke(*arguments):
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_recipe_makes_a_run_folder_of_weights(files, tmp_path):
    weights, map_ = files
    settings = ("--set", f"width={WIDTH}", "--set", "samples=50")
    run = tmp_path / "run"
    result = invoke(weights, "binary_net_cnn_mnist_5k", "--map", map_, "-o", run, *settings)
    assert result.exit_code == 0, result.output
    assert "of 50 test images correct" in result.stdout
    loaded = zoo.load_run(run)
    assert loaded.card["imported"]["file"] == "bnn.npz"
    assert loaded.card["seed"] is loaded.card["recipe"] is None
    assert zoo.evaluate(loaded).agrees
    again = invoke(weights, "binary_net_cnn_mnist_5k", "--map", map_, "-o", run, *settings)
    assert again.exit_code == 2
    assert "exists; give a new or empty folder" in again.stderr


def test_model_makes_a_keras_file(files, tmp_path):
    weights, map_ = files
    path = tmp_path / "bnn.keras"
    options = ("--set", f"width={WIDTH}", "--set", "input_shape=28,28,1")
    result = invoke(weights, "binary_net_cnn", "--map", map_, "-o", path, *options)
    assert result.exit_code == 0, result.output
    again = invoke(weights, "binary_net_cnn", "--map", map_, "-o", path, *options)
    assert again.exit_code == 1
    assert "pass --force" in again.stderr
    kernel = keras.models.load_model(path).get_layer("conv_1_2").get_weights()[0]
    with np.load(weights) as tensors:
        np.testing.assert_array_equal(kernel, tensors["conv2.weight"].transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("binary_net_cnn", ("-o", "x.h5"), 2, "the output x.h5 must end in .keras"),
        ("binary_net_cn", ("-o", "x.keras"), 2, "did you mean binary_net_cnn"),
        ("binary_net_cnn", ("-o", "x.keras", "--set", "with=3"), 2, "did you mean width"),
        ("binary_net_cnn", ("-o", "x.keras"), 1, "bnn.npz does not fit binary_net_cnn"),
        ("binary_net_cnn_mnist_5k", ("-o", "x"), 1, "bnn.npz does not fit binary_net_cnn"),
        (
            "dorefanet_imagenet",
            ("-o", "x", "--set", "dataset=mnist_5k"),
            2,
            "prepares images of 3 channels, and mnist_5k has images of 1",
        ),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    files, tmp_path, monkeypatch, name, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    result = invoke("bnn.npz", name, "--map", "map.json", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bnn.npz", "map.json"]


def test_map_of_the_network_is_whole():
    assert [*CONVS, *DENSE] == [key for key in MAP if not key.startswith("bn")]


@pytest.mark.parametrize("kept", [0, 4, 40, -40], ids=["empty", "magic", "header", "cut"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_npz_files_are_one_line(tmp_path, save, kept):
    path = tmp_path / "x.npz"
    save(path, x=np.arange(100.0))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OnebitError, match=r"x.npz is damaged") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_arrays_of_another_kind_or_size_are_one_line(tmp_path):
    path = tmp_path / "x.npz"
    boastful_npz(path)
    with pytest.raises(OnebitError, match=r"x.npz is damaged: it cannot be read as .npz$"):
        read_tensors(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(4))
    with pytest.raises(OnebitError, match=r"x.npz is damaged: it cannot be read as .npz$"):
        read_tensors(path)
