import hashlib
import json
import struct

import pytest

from convert.file_conversion import convert_file
from edge.bench.models import describe, find_lce_ops
from edge.results.row import NotBinary, Verification
from onebit.errors import UsageError
from onebit.metadata import Metadata
from onebit.metadata.tables import write
from tests.support.classifier import classifier

CONTENT = write({2: [{}]}, b"TFL3")
"""A file with one graph, which is empty."""


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / "mlp.tflite"
    path.write_bytes(CONTENT)
    return path


def write_report(path, **changes):
    report = {
        "name": "binary_net_mlp",
        "file": {"sha256": hashlib.sha256(CONTENT).hexdigest()},
        "totals": {
            "binary_macs": 1,
            "binary_weight_macs": 2,
            "int8_macs": 3,
            "float_macs": 4,
            "weight_bytes": 5,
            "float32_bytes": 6,
        },
        "verification": {
            "verdict": "exact",
            "samples": 1000,
            "split": "test",
            "accuracy_keras": 0.95,
            "accuracy_file": 1,
            "agreement": None,
        },
    } | changes
    path.with_suffix(".report.json").write_text(json.dumps(report))


def test_model_without_report_has_the_name_of_its_file(model_path):
    model = describe(model_path)
    assert model.name == "mlp"
    assert model.size_bytes == len(CONTENT)
    assert model.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert model.binary_macs is model.verification is model.float32_bytes is None


def test_model_takes_figures_from_the_report_beside_it(model_path):
    write_report(model_path)
    model = describe(model_path)
    assert model.name == "binary_net_mlp"
    macs = (model.binary_macs, model.binary_weight_macs, model.int8_macs, model.float_macs)
    assert macs == (1, 2, 3, 4)
    assert (model.weight_bytes, model.float32_bytes) == (5, 6)
    assert model.verification == Verification("exact", 1000, "test", 0.95, 1.0, None)


def test_report_of_another_file_is_ignored_with_a_warning(model_path, capsys):
    write_report(model_path, file={"sha256": "0" * 64})
    assert describe(model_path).name == "mlp"
    assert "describes another file" in capsys.readouterr().err


def test_malformed_report_is_ignored_with_a_warning(model_path, capsys):
    model_path.with_suffix(".report.json").write_text("{")
    assert describe(model_path).name == "mlp"
    assert "not valid JSON" in capsys.readouterr().err


def test_report_may_lack_the_verification_and_hold_odd_values(model_path):
    write_report(model_path, verification=None, totals={"binary_macs": "many"}, name=7)
    model = describe(model_path)
    assert model.verification is None
    assert model.binary_macs is None
    assert model.name == "mlp"


def test_what_is_no_tflite_file_is_refused(tmp_path):
    text = tmp_path / "text.tflite"
    text.write_text("these are words")
    empty = tmp_path / "empty.tflite"
    empty.touch()
    for path, message in [
        (tmp_path / "absent.tflite", "absent.tflite does not exist"),
        (text, "is not a TensorFlow Lite file"),
        (empty, "is empty; convert the model again"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(UsageError, match=message) as raised:
            describe(path)
        assert str(path) in str(raised.value)


def flatbuffer_string(text):
    return struct.pack("<I", len(text)) + text + b"\0"


def test_lce_ops_are_found_by_their_strings():
    content = flatbuffer_string(b"LceQuantize") + b"zz" + flatbuffer_string(b"LceBconv2d")
    assert find_lce_ops(content) == ("LceBconv2d", "LceQuantize")


@pytest.mark.parametrize(
    "content",
    [
        b"LceBconv2d\0",
        struct.pack("<I", 9) + b"LceBconv2d\0",
        flatbuffer_string(b"SomeLceBconv2d"),
        flatbuffer_string(b"Lce-tensor"),
    ],
)
def test_other_bytes_are_no_lce_ops(content):
    assert find_lce_ops(content) == ()


def test_lce_ops_of_real_files(binary_file, float_file):
    assert describe(binary_file.path).lce_ops == ("LceBconv2d", "LceQuantize")
    assert describe(float_file.path).lce_ops == ()


def test_model_says_why_layers_are_not_binary(model_path):
    float_layer = {"kind": "float", "reason": "real", "fix": "--int8"}
    layers = [
        {"name": "a", "kind": "binary", "reason": "padded", "fix": None, "macs": 9},
        {"name": "b", "macs": 3, **float_layer},
        {"name": "c", "kind": "binary_weights", "reason": "inputs", "fix": None, "macs": 8},
        {"name": "d", "macs": 4, **float_layer},
        "damaged",
    ]
    write_report(model_path, layers=layers)
    assert describe(model_path).not_binary == (
        NotBinary("binary weights", "inputs", ("c",), 8),
        NotBinary("float", "real", ("b", "d"), 7, "--int8"),
    )


def test_model_without_report_has_the_name_in_its_metadata(tmp_path):
    path = tmp_path / "x.tflite"
    metadata = Metadata("pets", author="Eve")
    path.write_bytes(convert_file(classifier(), verification=False, metadata=metadata).tflite)
    assert describe(path).name == "pets"
    path.write_bytes(path.read_bytes().replace(b"M001", b"M000"))
    assert describe(path).name == "x"
