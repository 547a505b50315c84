"""The conversion report: what a file is made of, and how well it agrees with its Keras model."""

import dataclasses
import enum
import typing
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Kind = Literal["binary", "binary_weights", "int8", "float"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)

Verdict = Literal["exact", "rounding flips", "quantised", "mismatch"]


class Reason(str, enum.Enum):
    """Why a layer is not binary, as programs compare it; docs/converting.md lists them all."""

    ZERO_PADDED = "zero-padded"
    REAL = "real"
    REAL_INPUTS = "real-inputs"
    REAL_WEIGHTS = "real-weights"
    INT8 = "int8"
    INT8_INPUTS = "int8-inputs"
    INT8_WEIGHTS = "int8-weights"
    SEVERAL_BIT_INPUTS = "several-bit-inputs"
    SEVERAL_BIT_WEIGHTS = "several-bit-weights"
    TERNARY_WEIGHTS = "ternary-weights"
    TF_SIGN_INPUTS = "tf-sign-inputs"
    MINUS_FOR_ZERO = "minus-for-zero"
    STRAIGHT_THROUGH = "straight-through"
    ZERO_ONE_INPUTS = "zero-one-inputs"
    DENSE = "dense"
    NO_BINARY_OPERATOR = "no-binary-operator"
    PADDING_VALUE = "padding-value"
    ZEROS_BETWEEN = "zeros-between"
    MOVED = "moved"
    FEW_CHANNELS_PER_GROUP = "few-channels-per-group"
    NOT_TAKEN = "not-taken"
    NOT_PACKED = "not-packed"
    TOO_SMALL = "too-small"
    LOOKED_UP = "looked-up"
    PRODUCT = "product"
    COMPUTED_FILTER = "computed-filter"
    PASSED_IN = "passed-in"
    RECURRENT = "recurrent"
    ELEMENTWISE = "elementwise"
    STORED_SMALLER = "stored-smaller"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_OPERATOR = "unknown-operator"

    # Python 3.10 and 3.11 would print the member's name.
    __str__ = str.__str__


@dataclass(frozen=True)
class Layer:
    """One operator of the file that computes with weights.

    Attributes:
        name: The Keras layer's name where it is known, else the output tensor's.
        op: The operator, such as `LceBconv2d` or `FULLY_CONNECTED`.
        kind: `binary` (weights and inputs), `binary_weights`, `int8` or `float`.
        reason: Why it is not binary, or what slows a binary layer down; None where there is nothing
            to say.
        fix: How to make it binary, smaller or faster; None when nothing is known.
        filter_shape: The unpacked filter, `[O, …, I]`; for depthwise `[1, KH, KW, C]`.
        output_shape: The unpacked output.
        macs: Multiply-accumulates for one inference.
        size_bytes: Size of its constants in the file: filter, scale, bias, thresholds.
        predicted_bytes: Their size with one bit for each weight that is ±1 times a scale; less than
            `size_bytes` where such a filter is stored as float32.
        float32_bytes: Size of its filter and bias as float32.
        reason_code: The reason for programs; None in reports of version 0.1.0.
    """

    name: str
    op: str
    kind: Kind
    reason: str | None
    fix: str | None
    filter_shape: list[int]
    output_shape: list[int]
    macs: int
    size_bytes: int
    predicted_bytes: int
    float32_bytes: int
    reason_code: Reason | None = None

    @property
    def mend(self) -> str | None:
        """The fix, by the name that it had in version 0.1.0."""
        return self.fix


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
    """The parts of a `.tflite` file."""

    file: File
    layers: list[Layer]
    totals: Totals


@dataclass(frozen=True)
class BitFlip:
    """The first place at which a sample's bits in the file differ from Keras'.

    Attributes:
        sample: The sample's index.
        layer: The Keras layer whose binary inputs differ.
        margin: |pre-activation| there: how far it was from the threshold; None where that is not
            finite.
        tolerance: How far from the threshold rounding can explain in that layer.
    """

    sample: int
    layer: str
    margin: float | None
    tolerance: float

    @property
    def explained(self) -> bool:
        """Whether rounding explains it; it never does where there is no margin."""
        return self.margin is not None and self.margin <= self.tolerance

    @property
    def distance(self) -> str:
        """The margin in words."""
        return "NaN or infinity" if self.margin is None else format(self.margin, ".2g")


@dataclass(frozen=True)
class TensorComparison:
    """A tensor of an int8 file beside what the float file makes of the same inputs.

    Attributes:
        name: The tensor's name, which is the Keras layer's where that is known.
        op: The operator that computes it.
        scale: The real number that 1 in its integers stands for; None for a float tensor.
        snr_db: Signal to noise in dB: its variance to the mean square of the difference. None
            where either is zero.
        cut_off: The share of its numbers beyond its range; None for a float tensor.
        range_used: The share of its range that is spanned by its numbers and those of the tensors
            that share the range; None where the range is fixed.
        fault: What is wrong with it, or None.
    """

    name: str
    op: str
    scale: float | None
    snr_db: float | None
    cut_off: float | None
    range_used: float | None
    fault: str | None


@dataclass(frozen=True)
class Quantization:
    """An int8 file beside the float file that it was made of.

    Attributes:
        float_file: The verdict on the float file, against Keras.
        difference_in_scales: The largest difference from Keras' outputs, each in its own int8
            scale; None where all outputs come from float operators.
        flipped_bits: Binary layer → the share of its input bits that differ from the float file's.
        tensors: The tensors that were compared, in the file's order.
        faults: What is wrong, with the name of the layer or tensor.
    """

    float_file: str
    difference_in_scales: float | None
    flipped_bits: dict[str, float]
    tensors: list[TensorComparison]
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
        tolerance: The largest output difference that rounding can explain, for the output that
            comes nearest to it or exceeds it most.
        compared_layers: Layers whose binary inputs were compared bit by bit.
        bit_flips: The first difference of each flipped sample (at most `MAX_REPORTED_FLIPS`), those
            that rounding explains least first.
        worst_sample: The sample whose outputs differ most for the rounding in them, or None where
            all have a flip.
        worst_output: The name of the output that differs most there.
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
    bit_flips: list[BitFlip]
    worst_sample: int | None = field(default=None, kw_only=True)
    worst_output: str | None = field(default=None, kw_only=True)

    def summary(self) -> str:
        """The verdict in words, such as `rounding flips (3 of 1000)`."""
        if self.verdict == "exact":
            return "exact"
        if self.verdict == "rounding flips":
            return f"rounding flips ({self.flipped_samples} of {self.samples})"
        count = f"{self.unexplained_samples} of {self.samples}"
        return f"{self.verdict} ({'; '.join([count, *self._worst()])})"

    def _worst(self) -> list[str]:
        """Where and by how much the file is off, in words."""
        unexplained = [flip for flip in self.bit_flips if not flip.explained]
        if unexplained:
            flip = unexplained[0]
            return [
                f"{flip.layer} is the first to differ in sample {flip.sample}, by a number "
                f"{flip.distance} from its threshold, where rounding explains "
                f"{flip.tolerance:.2g}"
            ]
        if self.worst_output is None:
            return []
        size = "NaN or infinity" if self.max_abs_difference is None else self.max_abs_difference
        return [
            f"output {self.worst_output} of sample {self.worst_sample} differs by "
            f"{size if isinstance(size, str) else format(size, '.2g')}, where rounding explains "
            f"{self.tolerance:.2g}"
        ]


@dataclass(frozen=True)
class Verification(Comparison):
    """Keras against the file, on LCE's interpreter and on the delegate.

    Attributes:
        kernel: LCE's kernels that ran the file.
        quantization: For an int8 file, which the bit flips above say nothing about: they are those
            of the float file that it was made of.
        delegate: The same on stock LiteRT with Onebit's delegate; None where it was not compared.
        delegate_label: The delegate and LiteRT with their versions, or None.
        delegate_skipped: Why there is no comparison with the delegate, or None.
        warnings: What makes the verdict worth less than it seems, such as samples that are all the
            same.
        reference: What the file was compared with: Keras, or the float file that it was made of.
    """

    kernel: str
    quantization: Quantization | None = None
    delegate: Comparison | None = None
    delegate_label: str | None = None
    delegate_skipped: str | None = None
    warnings: list[str] = field(default_factory=list)
    reference: str = "Keras"

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
        parts = []
        if self.agreement is not None:
            parts.append(f"argmax agrees on {self.agreement:.1%}")
        if quantization.difference_in_scales is not None:
            parts.append(
                f"outputs differ by up to {quantization.difference_in_scales:.1f} quantisation "
                "steps"
            )
        elif self.max_abs_difference is not None:
            parts.append(f"outputs differ by up to {self.max_abs_difference:.2g}")
        return f"quantised ({', '.join(parts)})"

    def mismatches(self) -> list[str]:
        """The disagreements with Keras in words; empty when the file and the delegate are right."""
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
        name: The model's registry name, else the Keras model's name.
        source: The model that was converted, as the user named it.
        lce_version: The version of LCE's converter; None where it took no part.
        rewrites: Rewrite → the Keras layers that it changed.
        passes: Pass → the tensors that it changed.
        notes: What the user should know.
        verification: The comparison with Keras, or None when it was not asked for.
        card: The model card of the source, or None.
    """

    name: str
    source: str | None
    lce_version: str | None
    rewrites: dict[str, list[str]]
    passes: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)
    verification: Verification | None = None
    card: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    def kinds(self) -> dict[str, int]:
        """Kind → number of layers of it, in alphabetical order.

        What normalisations and the like add to and multiply with numbers per channel does not
        count as a layer.
        """
        layers = [each for each in self.layers if each.reason_code != Reason.ELEMENTWISE]
        return dict(sorted(Counter(layer.kind for layer in layers).items()))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return dataclasses.asdict(self)
