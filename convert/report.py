"""The conversion report: what a file is made of, and how well it agrees with its Keras model."""

import dataclasses
import typing
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Kind = Literal["binary", "binary_weights", "int8", "float"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)

Verdict = Literal["exact", "rounding flips", "quantised", "mismatch"]


@dataclass(frozen=True)
class Layer:
    """One multiplying operator of the file.

    Attributes:
        name: The Keras layer's name where it is known, else the output tensor's.
        op: The operator, such as `LceBconv2d` or `FULLY_CONNECTED`.
        kind: `binary` (weights and inputs), `binary_weights`, `int8` or `float`.
        reason: Why it is not binary: the rule that it broke. None for a binary layer.
        mend: What would make it binary, smaller or faster, or None when nothing is known.
        filter_shape: The unpacked filter, `[O, …, I]`; for depthwise `[1, KH, KW, C]`.
        output_shape: The unpacked output.
        macs: Multiply-accumulates for one inference.
        size_bytes: What its constants take in the file: filter, scale, bias, thresholds.
        predicted_bytes: What they would take with one bit for each weight that is ±1 times a
            scale; less than `size_bytes` where such a filter is stored as float32.
        float32_bytes: What its filter and bias would take as float32.
    """

    name: str
    op: str
    kind: Kind
    reason: str | None
    mend: str | None
    filter_shape: list[int]
    output_shape: list[int]
    macs: int
    size_bytes: int
    predicted_bytes: int
    float32_bytes: int


@dataclass(frozen=True)
class Totals:
    """Sums over the layers of a file.

    Attributes:
        weight_bytes: The constants of the layers.
        predicted_bytes: The same with one bit for each binary weight.
        float32_bytes: The same weights as float32.
        other_bytes: The rest of the file: other constants, the graph, padding.
        binary_macs: Multiply-accumulates of ±1 with ±1.
        binary_weight_macs: Multiply-accumulates of real inputs with ±1.
        int8_macs: Multiply-accumulates in 8-bit integers.
        float_macs: Multiply-accumulates in float32.
    """

    weight_bytes: int
    predicted_bytes: int
    float32_bytes: int
    other_bytes: int
    binary_macs: int
    binary_weight_macs: int
    int8_macs: int
    float_macs: int

    @property
    def compression(self) -> float | None:
        """How many times smaller the weights are than as float32."""
        return self.float32_bytes / self.weight_bytes if self.weight_bytes else None


@dataclass(frozen=True)
class File:
    """The file that a report is about."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Audit:
    """What a `.tflite` file is made of."""

    file: File
    layers: list[Layer]
    totals: Totals


@dataclass(frozen=True)
class Flip:
    """The first place at which a sample's bits in the file differ from Keras'.

    Attributes:
        sample: The sample's index.
        layer: The Keras layer whose binary inputs differ.
        margin: |pre-activation| there: how far it was from the threshold.
        tolerance: What rounding can explain in that layer.
    """

    sample: int
    layer: str
    margin: float
    tolerance: float


@dataclass(frozen=True)
class Piece:
    """A tensor of an int8 file beside what the float file makes of the same inputs.

    Attributes:
        name: The tensor's name, which is the Keras layer's where that is known.
        op: The operator that computes it.
        step: What 1 in its integers stands for; None for a float tensor.
        snr_db: Signal to noise in dB: its variance to the mean square of the difference. None
            where either is zero.
        cut_off: The share of its numbers beyond its range; None for a float tensor.
        range_used: What share of its range is spanned by its numbers and those of the tensors that
            share the range; None where the range is fixed.
        fault: What is wrong with it, or None.
    """

    name: str
    op: str
    step: float | None
    snr_db: float | None
    cut_off: float | None
    range_used: float | None
    fault: str | None


@dataclass(frozen=True)
class Quantization:
    """An int8 file beside the float file that it was made of.

    Attributes:
        float_file: The verdict on the float file, against Keras.
        difference_in_steps: The largest difference from Keras' outputs in steps of the int8
            output; None where the output comes from a float operator.
        flipped_bits: Binary layer → the share of its input bits that differ from the float file's.
        pieces: The tensors that were compared, in the file's order.
        faults: What is wrong, with the name of the layer or tensor.
    """

    float_file: str
    difference_in_steps: float | None
    flipped_bits: dict[str, float]
    pieces: list[Piece]
    faults: list[str]


@dataclass(frozen=True)
class Comparison:
    """Keras against the file on one runtime.

    Attributes:
        samples: How many inputs were compared.
        split: Where they come from, such as `test` or `random`.
        verdict: `exact` (all bits equal, outputs within rounding), `rounding flips` (in some
            samples a pre-activation within rounding of its threshold took the other sign),
            `quantised` (int8, and no further from Keras than 8 bits explain) or `mismatch`.
        flipped_samples: Samples with at least one differing bit.
        unexplained_samples: Samples that rounding does not explain.
        agreement: Share of samples with the same largest output; None for one output.
        accuracy_keras: Accuracy of the Keras model on labelled samples, 0 to 1.
        accuracy_file: Accuracy of the file on the same samples.
        max_abs_difference: Largest output difference among samples without a flip, or None.
        tolerance: The largest output difference that rounding can explain.
        compared_layers: Layers whose binary inputs were compared bit by bit.
        flips: The first difference of each flipped sample (at most `MAX_FLIPS`).
    """

    samples: int
    split: str
    verdict: Verdict
    flipped_samples: int
    unexplained_samples: int
    agreement: float | None
    accuracy_keras: float | None
    accuracy_file: float | None
    max_abs_difference: float | None
    tolerance: float
    compared_layers: list[str]
    flips: list[Flip]

    def summary(self) -> str:
        """The verdict in words, such as `rounding flips (3 of 1000)`."""
        if self.verdict == "exact":
            return "exact"
        count = (
            self.flipped_samples if self.verdict == "rounding flips" else (self.unexplained_samples)
        )
        return f"{self.verdict} ({count} of {self.samples})"


@dataclass(frozen=True)
class Verification(Comparison):
    """Keras against the file, on LCE's interpreter and on the delegate.

    Attributes:
        kernel: LCE's kernels that ran the file.
        quantization: For an int8 file, which the flips and bits above say nothing about: they are
            those of the float file that it was made of.
        delegate: The same on stock LiteRT with Onebit's delegate; None where it was not compared.
        delegate_label: The delegate and LiteRT with their versions, or None.
        delegate_skipped: Why there is no comparison with the delegate, or None.
    """

    kernel: str
    quantization: Quantization | None = None
    delegate: Comparison | None = None
    delegate_label: str | None = None
    delegate_skipped: str | None = None

    def summary(self) -> str:
        """The verdict on LCE's interpreter in words."""
        if self.quantization is not None:
            return self._quantized_summary(self.quantization)
        return super().summary()

    def _quantized_summary(self, quantization: Quantization) -> str:
        if quantization.faults:
            return f"mismatch ({'; '.join(quantization.faults[:3])})"
        if self.verdict == "mismatch":
            return f"mismatch (before quantisation: {quantization.float_file})"
        said = []
        if self.agreement is not None:
            said.append(f"argmax agrees on {self.agreement:.1%}")
        if quantization.difference_in_steps is not None:
            said.append(f"outputs differ by up to {quantization.difference_in_steps:.1f} steps")
        elif self.max_abs_difference is not None:
            said.append(f"outputs differ by up to {self.max_abs_difference:.2g}")
        return f"quantised ({', '.join(said)})"

    def mismatches(self) -> list[str]:
        """What disagrees with Keras, in words; empty when the file and the delegate are right."""
        found = []
        if self.verdict == "mismatch":
            found.append(self.summary())
        if self.delegate is not None and self.delegate.verdict == "mismatch":
            found.append(f"with the delegate: {self.delegate.summary()}")
        return found


@dataclass(frozen=True)
class Report(Audit):
    """A conversion's report; lies beside the file as `NAME.report.json`.

    Attributes:
        name: What the model is called: its registry name, else the Keras model's name.
        source: What was converted, as the user named it.
        lce_version: The converter's version.
        rewrites: Rewrite → the Keras layers that it changed.
        passes: Pass → the tensors that it changed.
        notes: What the user should know.
        verification: The comparison with Keras, or None when it was not asked for.
        card: The model card of the source, or None.
    """

    name: str
    source: str | None
    lce_version: str
    rewrites: dict[str, list[str]]
    passes: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)
    verification: Verification | None = None
    card: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    def kinds(self) -> dict[str, int]:
        """Kind → how many layers are of it, in alphabetical order."""
        return dict(sorted(Counter(layer.kind for layer in self.layers).items()))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return dataclasses.asdict(self)
