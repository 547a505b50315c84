"""The layers of a `.tflite` file, in all its subgraphs, and which of them are binary.

Every operator with weights is listed. Those that this module knows by name come with their filters
and multiply-accumulates; any other that reads constants is listed with these, so that no weight of
a file is left out.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from convert.auditing.describe import Charged, describe_layer, describe_other
from convert.auditing.diagnosis import Remedies
from convert.auditing.loops import runs_per_inference
from convert.report import KINDS, Audit, File, Kind, Layer, Totals
from convert.tflite.damage import refusing_damage
from convert.tflite.graph import Graph

AuditedLayer = tuple[Graph, Any, Layer]
"""The subgraph, the operator, and the description of it."""


def audit(file: bytes | Graph, name: str = "the file") -> Audit:
    """The layers of a `.tflite` file, ours or any other, and their totals.

    Args:
        file: The whole file, or its first subgraph.
        name: What error messages call it.

    Raises:
        FlatbufferError: The content is not a well-formed `.tflite` file.
    """
    graph = file if isinstance(file, Graph) else Graph.from_bytes(file, name)
    content = graph.to_bytes() if isinstance(file, Graph) else file
    with refusing_damage(name, "audited"):
        layers = [layer for *_, layer in audited_layers(graph)]
    return audit_of(content, layers)


def audit_of(content: bytes, layers: list[Layer]) -> Audit:
    """The audit of a file whose layers are known."""
    file = File(hashlib.sha256(content).hexdigest(), len(content))
    return Audit(file, layers, _totals(layers, len(content)))


def audited_layers(graph: Graph, remedies: Remedies | None = None) -> list[AuditedLayer]:
    """The operators with weights of all subgraphs, in execution order, each with its description.

    Args:
        graph: The file.
        remedies: What Onebit could still do for the file; anything when absent.
    """
    remedies = remedies or Remedies()
    charged = Charged()
    found: list[AuditedLayer] = []
    for subgraph, runs, prefix in _subgraphs(graph):
        layers: dict[int, Layer] = {}
        for op in subgraph.operators:
            layer = describe_layer(subgraph, op, charged, remedies)
            if layer is not None:
                layers[id(op)] = layer
        # Afterwards, when it is known which constants belong to a layer in front or behind.
        for op in subgraph.operators:
            if id(op) not in layers and id(op) not in charged.parts:
                other = describe_other(subgraph, op, charged)
                if other is not None:
                    layers[id(op)] = other
        for op in subgraph.operators:
            if id(op) in layers:
                layer = layers[id(op)]
                name, macs = prefix + layer.name, layer.macs * runs
                found.append((subgraph, op, dataclasses.replace(layer, name=name, macs=macs)))
    return found


def _subgraphs(graph: Graph) -> list[tuple[Graph, int, str]]:
    """Each subgraph, how often one inference runs it, and what precedes its layers' names."""
    signatures = graph.model.signatureDefs or []
    keys = {
        signature.subgraphIndex: f"{(signature.signatureKey or b'').decode()}/"
        for signature in signatures
        if len(signatures) > 1
    }
    runs = runs_per_inference(graph)
    return [(sub, runs[sub.number], keys.get(sub.number, "")) for sub in graph.subgraphs()]


def _totals(layers: list[Layer], file_bytes: int) -> Totals:
    def total(value: Callable[[Layer], int], kind: Kind | None = None) -> int:
        return sum(value(layer) for layer in layers if kind in (None, layer.kind))

    weight_bytes = total(lambda layer: layer.size_bytes)
    macs = {kind: total(lambda layer: layer.macs, kind) for kind in KINDS}
    return Totals(
        weight_bytes=weight_bytes,
        predicted_bytes=total(lambda layer: layer.predicted_bytes),
        float32_bytes=total(lambda layer: layer.float32_bytes),
        other_bytes=file_bytes - weight_bytes,
        binary_macs=macs["binary"],
        binary_weight_macs=macs["binary_weights"],
        int8_macs=macs["int8"],
        float_macs=macs["float"],
    )
