"""Metadata in converted files: written, kept, exported to C, refused where they don't fit."""

import json
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.errors import SourceError
from convert.file_conversion import convert_file
from convert.int8.settings import Int8
from convert.metadata import _set_buffer, metadata_of_card, with_metadata
from convert.targets.c.facts import string_literal
from convert.targets.c.project import project_files
from convert.tflite.graph import Graph
from onebit.errors import OnebitError
from onebit.metadata import Metadata, Normalization, metadata_buffer, read_metadata, with_files
from onebit.metadata.schema import IDENTIFIER
from onebit.metadata.tables import byte, write
from tests.support import peers
from tests.support.classifier import classifier
from tests.support.damage import scrambled

LABELS = ("cat", "dog", 'a "b" \\ c', "why??/", "Öl */")
FACTS = Metadata(
    "pets", "Pets /* five of them */", "Eve", "MIT", LABELS, {0: Normalization((127.5,), (63.75,))}
)
CARD = {
    "name": "net",
    "dataset": {"name": "digits"},
    "input_shape": [8, 8, 1],
    "classes": ["zero", 1],
    "preprocessing": {"scale": 1 / 127.5, "offset": -1.0, "contrast": "none", "whitening": False},
}


def converted(content, metadata=None):
    return convert_file(content, verification=False, metadata=metadata).tflite


@pytest.fixture(scope="module")
def file():
    """A binary classifier with all facts."""
    return converted(classifier(), FACTS)


def test_file_says_what_was_given(file):
    assert read_metadata(file, "x") == FACTS
    assert file == converted(classifier(), FACTS)


def test_file_without_facts_has_no_metadata():
    assert converted(classifier(), Metadata("net")) == converted(classifier())
    assert read_metadata(converted(classifier()), "x") is None


def test_conversion_keeps_the_metadata_of_its_source():
    source = with_metadata(Graph.from_bytes(classifier()), FACTS)
    # Unknown files stay too.
    source = with_files(source, {"vocab.txt": b"a\nb\n"})
    result = converted(source)
    assert read_metadata(result, "x") == FACTS
    assert result.count(b"a\nb\n") == 1


def test_int8_file_keeps_the_metadata_of_its_source():
    source = with_metadata(Graph.from_bytes(classifier(real=True)), FACTS)
    images = np.random.default_rng(0).uniform(-1, 1, (40, 4, 4, 3)).astype(np.float32)
    result = convert_file(source, verification=False, int8=Int8([images])).tflite
    assert read_metadata(result, "x") == FACTS
    assert result.count(b"TFLITE_METADATA") == 1


def test_given_metadata_replace_those_of_the_source():
    source = with_metadata(Graph.from_bytes(classifier()), FACTS)
    result = converted(source, Metadata("other", author="Bob"))
    assert read_metadata(result, "x") == Metadata("other", author="Bob")
    assert result.count(b"TFLITE_METADATA") == 1
    assert b"Pets" not in result


@pytest.mark.parametrize(
    ("content", "metadata", "message"),
    [
        (classifier(), Metadata(labels=LABELS[:4]), "4 labels, and the model has 5 classes"),
        (
            classifier(outputs=2),
            Metadata(labels=LABELS),
            r"one output .* not of \[1, 5\], \[1, 5\]",
        ),
        (
            classifier(channels=2),
            Metadata(normalization={0: Normalization((1, 2, 3), (4, 5, 6))}),
            "the normalisation has 3 channels, input tensor0 2",
        ),
        (
            classifier(),
            Metadata(normalization={1: Normalization((127.5,), (63.75,))}),
            "a normalisation of input 1, and the model has the inputs 0 to 0",
        ),
    ],
    ids=["labels", "outputs", "channels", "input"],
)
def test_facts_that_do_not_fit_are_refused(content, metadata, message):
    with pytest.raises(SourceError, match=message):
        converted(content, metadata)


def test_normalisation_of_all_channels_alike_fits_any_number_of_them():
    assert read_metadata(converted(classifier(channels=2), FACTS), "x") == FACTS


def test_damaged_metadata_are_one_line(file):
    damaged = file.replace(b"M001", b"M002")
    with pytest.raises(OnebitError, match="the metadata of x are damaged: it has no M001"):
        read_metadata(damaged, "x")
    with pytest.raises(OnebitError, match=r"name labels\.txt, which the file lacks"):
        read_metadata(file[: file.index(b"PK\x03\x04")], "x")
    with pytest.raises(OnebitError, match="x is truncated or damaged"):
        read_metadata(file[:30], "x")


def test_scrambled_files_raise_nothing_else(file):
    start = file.index(b"TFLITE_METADATA") - 200  # around the FlatBuffer and archive
    refused = 0
    for content in scrambled(file, 3000, seed=3, start=start):
        try:
            read_metadata(content, "x")
        except OnebitError:
            refused += 1
    assert refused > 100


def test_card_gives_labels_and_normalisation():
    metadata = metadata_of_card(CARD)
    assert metadata.description == "net trained on digits"
    assert metadata.labels == ("zero", "1")
    assert metadata.normalization == {0: Normalization((127.5,), (127.5,))}


def test_card_of_whitened_images_says_so_in_words():
    changes = {"contrast": "global", "whitening": True}
    metadata = metadata_of_card(CARD | {"preprocessing": CARD["preprocessing"] | changes})
    assert metadata.normalization == {}
    assert metadata.description.endswith(
        "its images need global contrast normalisation and whitening"
    )


def test_card_of_signals_has_no_pixels():
    assert metadata_of_card(CARD | {"input_shape": [40]}).normalization == {}


def test_card_of_texts_has_labels_only():
    assert metadata_of_card(CARD | {"preprocessing": None}).normalization == {}


def test_metadata_in_c_compile_and_link(file, tmp_path):
    files, _ = project_files(file, "pets.tflite", "pets")
    for name, text in files.items():
        if name.startswith("src/"):
            (tmp_path / name[4:]).write_text(text)
    header, readme = files["src/pets.h"], files["README.md"]
    assert "author: Eve" in header
    assert "pixels: (pixel - 127.5) / 63.75" in header
    assert "pixels: (pixel - 127.5) / 63.75" in readme
    assert "pets_labels[i]" in readme
    (tmp_path / "print.c").write_text(
        '#include <stdio.h>\n#include "pets.h"\n'
        "int main(void) {"
        "  for (int i = 0; i < PETS_LABELS; ++i) puts(pets_labels[i]); return 0; }\n"
    )
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-trigraphs"]
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    subprocess.run(["cc", *strict, *sources, "-o", "print"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert tuple(printed.decode().splitlines()) == LABELS


def test_literal_ends_escapes_where_digits_follow():
    assert string_literal("ö1") == r'"\303\2661"'


def test_c_without_metadata_is_as_before():
    files, _ = project_files(converted(classifier()), "x.tflite", "x")
    assert "labels" not in files["src/x.h"] + files["src/x.c"]
    assert "metadata" not in files["README.md"]


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "float.tflite").write_bytes(classifier())
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (tmp_path / "four.txt").write_text("1\n2\n3\n4\n")
    return tmp_path


def run(folder, *arguments):
    command = ["model", str(folder / "float.tflite"), "-o", str(folder / "x.tflite")]
    return CliRunner().invoke(main, [*command, "--no-delegate", *map(str, arguments)])


def test_command_writes_what_its_options_say(sources):
    facts = ["--author", "Eve", "--license", "MIT", "--description", "Pets"]
    facts += ["--normalize", "1,2,3,4,5,6", "--labels", sources / "labels.txt"]
    result = run(sources, *facts)
    assert result.exit_code == 0, result.output
    assert "pixels: (pixel - [1, 2, 3]) / [4, 5, 6]" in result.stdout
    content = (sources / "x.tflite").read_bytes()
    expected = Metadata(
        "float", "Pets", "Eve", "MIT", LABELS, {0: Normalization((1, 2, 3), (4, 5, 6))}
    )
    assert read_metadata(content, "x") == expected
    report = json.loads((sources / "x.report.json").read_text())
    assert report["file"]["size_bytes"] == len(content)
    audited = CliRunner().invoke(main, ["audit", str(sources / "x.tflite")])
    assert "licence: MIT" in audited.stdout


def test_what_new_metadata_leave_out_is_said(sources):
    other = {0: "vocabulary.txt", 1: None, 2: byte(3)}
    unit = {0: byte(2), 1: {}}
    tensor = {0: "in", 1: "A picture", 4: [unit], 6: [other]}
    buffer = write({0: "net", 2: "v7", 3: [{2: [tensor], 3: []}]}, IDENTIFIER)
    graph = Graph.from_bytes(classifier())
    _set_buffer(graph, buffer)
    (sources / "float.tflite").write_bytes(graph.to_bytes())
    kept = run(sources)
    assert "written again" not in kept.stderr
    assert metadata_buffer((sources / "x.tflite").read_bytes()) == buffer
    result = run(sources, "--author", "Eve")
    assert result.exit_code == 0, result.output
    assert (
        "are written again, without version v7, the file vocabulary.txt, descriptions of its "
        "parts, steps of processing\n" in result.stderr
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--labels", "four.txt"], 1, "there are 4 labels, and the model has 5 classes; give"),
        (["--labels", "absent.txt"], 1, "absent.txt does not exist"),
        (["--normalize", "1,2,3"], 2, "'1,2,3' is not MEAN,STD such as 127.5,127.5"),
        (["--normalize", "1,0"], 2, "a deviation of 0"),
        (["--normalize", "a,b"], 2, "'a,b' is not MEAN,STD"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(sources, options, code, message):
    if options[0] == "--labels":
        options = ["--labels", sources / options[1]]
    result = run(sources, *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (sources / "x.tflite").exists()
    assert not (sources / "x.report.json").exists()


SUPPORT = peers.Environment("tflite-support", ("tflite-support==0.4.4",))

READ = """
import json, sys
from tflite_support import metadata
shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
labels = shown.get_associated_file_buffer("labels.txt").decode()
print(json.dumps([json.loads(shown.get_metadata_json()), labels]))
"""

WRITE = """
import sys
from tflite_support.metadata_writers import image_classifier, writer_utils
writer = image_classifier.MetadataWriter.create_for_inference(
    writer_utils.load_file(sys.argv[1]), [1.5, 2.5, 3.5], [4, 5, 6], ["labels.txt"])
writer_utils.save_file(writer.populate(), sys.argv[2])
"""


@pytest.fixture(scope="module")
def support():
    return peers.python_or_skip(SUPPORT)


@pytest.mark.slow
def test_tflite_support_reads_what_is_written(support, file, tmp_path):
    (tmp_path / "x.tflite").write_bytes(file)
    command = [support, "-c", READ, tmp_path / "x.tflite"]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    shown, labels = json.loads(ended.stdout)
    assert tuple(labels.splitlines()) == LABELS
    assert (shown["name"], shown["author"], shown["license"]) == ("pets", "Eve", "MIT")
    (subgraph,) = shown["subgraph_metadata"]
    (image,) = subgraph["input_tensor_metadata"]
    assert image["content"]["content_properties"] == {"color_space": "RGB"}
    assert image["process_units"] == [
        {"options_type": "NormalizationOptions", "options": {"mean": [127.5], "std": [63.75]}}
    ]


@pytest.mark.slow
def test_what_tflite_support_writes_is_read_and_kept(support, sources):
    command = [support, "-c", WRITE, "float.tflite", "described.tflite"]
    subprocess.run(command, capture_output=True, check=True, cwd=sources)
    written = (sources / "described.tflite").read_bytes()
    metadata = read_metadata(written, "x")
    assert metadata.labels == LABELS
    assert metadata.normalization == {0: Normalization((1.5, 2.5, 3.5), (4, 5, 6))}
    assert read_metadata(converted(written), "x") == metadata
    np.testing.assert_array_equal(
        metadata.normalization[0](np.zeros((1, 3))), np.float32([[-1.5 / 4, -0.5, -3.5 / 6]])
    )
