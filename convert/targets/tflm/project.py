"""The folder for TensorFlow Lite Micro: the model, its registrations, and the binary operators."""

import hashlib
import math
from pathlib import Path
from typing import Any

from convert.errors import ConversionError
from convert.passes.drop_unused import drop_unused
from convert.passes.merge_equal_constants import merge_equal_constants
from convert.targets.c.project import kernel_files
from convert.targets.c.source import source_templates, with_prefix
from convert.targets.c_array import array_lines
from convert.targets.tflm.decode import DECODE, use_decode
from convert.targets.tflm.operators import BUILTINS, CUSTOMS
from convert.tflite.damage import refusing_damage
from convert.tflite.graph import DTYPES, Graph

_KERNELS = ("onebit_bconv.c", "onebit_signs.c")
_HEAD = "// Written by `onebit convert export`; do not edit.\n"


def tflm_model(content: bytes, source: str) -> Graph:
    """A file as TensorFlow Lite Micro takes it.

    Raises:
        ConversionError: It has no operator of that name; `reason` is `no-kernel`.
        FlatbufferError: The content is not a well-formed `.tflite` file.
    """
    graph = Graph.from_bytes(content, source)
    with refusing_damage(source, "read"):
        use_decode(graph)
        merge_equal_constants(graph)
        drop_unused(graph)
    for subgraph in graph.subgraphs():
        for op in subgraph.operators:
            name = subgraph.op_name(op)
            if name not in BUILTINS and name not in CUSTOMS:
                label = subgraph.tensor_name(subgraph.outputs(op)[0])
                raise ConversionError(
                    f"{label} ({name}) is not an operator of TensorFlow Lite Micro",
                    hint="leave the layer out, or use --to c",
                    reason="no-kernel",
                )
    return graph


def tflm_files(content: bytes, source: str, name: str) -> dict[str, str | bytes]:
    """The files of the folder by their names.

    Args:
        content: The `.tflite` file.
        source: What messages and the README call it.
        name: What symbols begin with.

    Raises:
        ConversionError: TensorFlow Lite Micro lacks an operator.
    """
    graph = tflm_model(content, source)
    model = graph.to_bytes()
    names = {g.op_name(op) for g in graph.subgraphs() for op in g.operators}
    decodes = [op for op in graph.operators if graph.op_name(op) == DECODE]
    values: dict[str, Any] = {
        "name": name,
        "source": Path(source).name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(model),
        "builtins": sorted(BUILTINS[op] for op in names & BUILTINS.keys()),
        "customs": {op: CUSTOMS[op] for op in sorted(names & CUSTOMS.keys())},
        "decoded": sum(len(graph.outputs(op)) for op in decodes),
        "unpacked": max((_output_bytes(graph, op) for op in decodes), default=0),
    }
    environment = source_templates("convert.targets.tflm")
    files: dict[str, str | bytes] = {
        f"{name}.tflite": model,
        f"{name}_model.cc": _array(model, name),
        f"{name}_tflm.h": environment.get_template("tflm.h.j2").render(values),
        "README.md": environment.get_template("README.md.j2").render(values),
    }
    if values["customs"]:
        shim = environment.get_template("onebit_tflm.cc").render()
        files[f"{name}_tflm.cc"] = with_prefix(shim, name)
        files |= kernel_files(_KERNELS, name)
    return files


def _output_bytes(graph: Graph, op: Any) -> int:
    return sum(
        math.prod(graph.shape(i)) * DTYPES[graph.subgraph.tensors[i].type].itemsize
        for i in graph.outputs(op)
    )


def _array(content: bytes, name: str) -> str:
    return "\n".join(
        [
            f'{_HEAD}#include "{name}_tflm.h"',
            "",
            f"const unsigned int {name}_model_size = {len(content)};",
            f"alignas(16) const unsigned char {name}_model[] = {{",
            *array_lines(content),
            "};",
            "",
        ]
    )
