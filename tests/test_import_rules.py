"""Who may import whom: the three stages meet through files, not through code."""

import ast
import graphlib
import importlib
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
    "convert/commands/data.py": {"zoo"},
    "convert/commands/float_source.py": {"zoo"},
    "convert/commands/keras_source.py": {"zoo"},
    # TensorFlow's quantizer, and LCE itself.
    "convert/int8/quantize.py": {"tensorflow"},
    "convert/runtimes/lce.py": {"larq_compute_engine"},
    # Keras 3, in a process that has not chosen Keras 2.
    "convert/keras3/served.py": {"keras", "tensorflow"},
    "convert/keras3/worker.py": {"keras"},
    # Run folders are read by the stage that wrote them.
    "edge/bench/samples.py": {"zoo"},
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


def modules_imported(path):
    """The modules of this project that a file imports when it is imported, submodules resolved."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            found = module_file(name) or module_file(name.rpartition(".")[0])
            if found is not None and name.split(".")[0] in FORBIDDEN:
                yield ".".join(found.relative_to(ROOT).with_suffix("").parts)


def module_file(name):
    """The file of a module or package of this project; None if there is none of that name."""
    path = ROOT.joinpath(*name.split("."))
    candidates = [path.with_suffix(".py"), path / "__init__.py"]
    return next((file for file in candidates if name and file.is_file()), None)


SOURCES = [
    path.relative_to(ROOT)
    for folder in FORBIDDEN
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "build" not in path.parts
]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_file_imports_only_what_its_stage_may(path):
    forbidden = FORBIDDEN[path.parts[0]] - EXCEPTIONS.get(path.as_posix(), set())
    if path.parts[:2] == ("zoo", "keras3"):
        forbidden = forbidden - {"keras"}
    assert imported(ROOT / path) & forbidden == set()


@pytest.mark.parametrize("path", [p for p in SOURCES if "keras3" in p.parts], ids=str)
def test_keras_3_does_not_reach_keras_2(path):
    assert "onebit.keras" not in set(modules_imported(ROOT / path))


def test_exceptions_are_needed():
    for name, packages in EXCEPTIONS.items():
        assert packages <= imported(ROOT / name), f"{name} no longer imports all of {packages}"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "edge"], ids=str)
def test_edge_does_not_reach_keras_through_onebit(path):
    assert "onebit.keras" not in set(modules_imported(ROOT / path))


@pytest.mark.parametrize("package", ["zoo", "edge", "convert.__main__", "convert.auditing.layers"])
def test_package_is_imported_without_tensorflow(package):
    """Command lines answer --help at once, and the edge stage works where there is no Keras."""
    code = f"import sys, {package}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def import_graph(node_of):
    """Node → the other nodes that it imports, of all files of the stages."""
    graph = {}
    for path in SOURCES:
        if "native" in path.parts:
            continue
        node = node_of(path.with_suffix("").as_posix().replace("/", "."))
        found = {node_of(name) for name in modules_imported(ROOT / path)}
        graph.setdefault(node, set()).update(found - {node})
    return graph


def room_of(module):
    """The folder below its stage in which a module lies; a stage's own files are rooms each."""
    parts = module.removesuffix(".__init__").split(".")
    in_root = module_file(module).parent == ROOT / parts[0]
    return module if in_root else ".".join(parts[:2])


@pytest.mark.parametrize("node_of", [lambda module: module, room_of], ids=["files", "rooms"])
def test_imports_form_no_circle(node_of):
    graph = import_graph(node_of)
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
    assert len(order) >= len(graph)


@pytest.mark.parametrize("package", ["onebit", "zoo", "convert", "edge"])
def test_no_exported_name_is_that_of_a_submodule(package):
    """Importing a submodule binds it in its package, where it would hide the exported name."""
    names = getattr(importlib.import_module(package), "__all__", [])
    assert [name for name in names if module_file(f"{package}.{name}")] == []
