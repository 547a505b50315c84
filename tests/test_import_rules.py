"""Who may import whom: the three stages meet through files, not through code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERAS = {"tensorflow", "keras", "tf_keras", "larq", "larq_zoo", "larq_compute_engine"}
STAGES = {"zoo", "convert", "edge"}

# Folder → what none of its files may import; then the files that may after all.
FORBIDDEN = {
    "onebit": STAGES | KERAS,
    "zoo": {"convert", "edge"} | KERAS,
    "convert": {"zoo", "edge"} | KERAS,
    "edge": {"zoo", "convert"} | KERAS,
}
EXCEPTIONS = {
    "onebit/keras.py": {"larq", "tensorflow"},
    # The command line looks names and run folders up.
    "convert/__main__.py": {"zoo"},
    # TensorFlow's schema of the file format and its quantizer, and LCE itself.
    "convert/flatbuffer.py": {"tensorflow"},
    "convert/int8/quantize.py": {"tensorflow"},
    "convert/lce.py": {"larq_compute_engine"},
    # Run folders are read by the stage that wrote them.
    "edge/data.py": {"zoo"},
    # Runs on the device with whichever of the runtimes it has.
    "edge/runner/runtimes.py": {"tensorflow", "larq_compute_engine"},
}


def imported(path):
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


SOURCES = [
    path.relative_to(ROOT)
    for folder in FORBIDDEN
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "build" not in path.parts
]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_file_imports_only_what_its_stage_may(path):
    forbidden = FORBIDDEN[path.parts[0]] - EXCEPTIONS.get(path.as_posix(), set())
    assert imported(ROOT / path) & forbidden == set()


def test_exceptions_are_needed():
    for name, packages in EXCEPTIONS.items():
        source = (ROOT / name).read_text()
        for package in packages:
            assert package in source, f"{name} no longer imports {package}"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "edge"], ids=str)
def test_edge_does_not_reach_keras_through_onebit(path):
    assert "onebit.keras" not in (ROOT / path).read_text()


@pytest.mark.parametrize("package", ["zoo", "edge", "convert.__main__"])
def test_package_is_imported_without_tensorflow(package):
    """Command lines answer --help at once, and the edge stage works where there is no Keras."""
    code = f"import sys, {package}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
