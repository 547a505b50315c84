"""Keras against the file: tells rounding flips from errors.

A binary network has a threshold at every activation. Where a pre-activation is within rounding of
its threshold, Keras and the file may take different signs, and everything behind differs visibly:
that is rounding, not an error. So the binary inputs of every layer are compared bit by bit, and for
each sample with a difference the *first* layer that differs is looked at: all before it is equal,
so its pre-activation differs by rounding alone, and must be that close to the threshold.

**How much rounding explains.** A sum of K float32 products, in whatever order, is off by at most
λ·√K·u·Σ|x·w|, u = 2^-24, but for a probability of about 2K·exp(−λ²/2) if rounding errors are
independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J.
Sci. Comput. 41, 2019), and Σ|x·w| ≤ √K·‖x·w‖ (Cauchy–Schwarz). Over many samples the largest |sum|
is at least their root mean square, which is ‖x·w‖ for uncorrelated signs. Both sides round, so with
λ = 6:

    tolerance = 2·6·K·2^-24·(largest magnitude), added up over the layers of the network.
"""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.report import Comparison, Verification
from convert.runtimes.lce import LceInterpreter
from convert.runtimes.litert import running_on_delegate, usable_delegate
from convert.tflite.graph import Graph
from convert.verification.comparison import Batch, Side
from convert.verification.layer_matching import layers_by_filter
from convert.verification.probes import Tap, in_file_order, listening, taps, with_outputs
from convert.verification.sign_pairs import sign_taps
from onebit.keras import keras, tf

_BATCH = 64
_KERNEL = "indirect_bgemm"


def verify(
    model: keras.Model,
    content: bytes,
    inputs: Sequence[NDArray[np.float32]],
    labels: NDArray[np.integer] | None = None,
    split: str = "given",
    tick: Callable[[], None] | None = None,
    with_delegate: bool = True,
) -> Verification:
    """Compares a file with the Keras model that it was made from.

    Args:
        model: The original Keras model, before any rewrite.
        content: The `.tflite` file.
        inputs: One array per input, `[N, …]`, as the model takes them.
        labels: Class indices `[N]`, for the accuracies.
        split: What the samples are called in the report.
        tick: Called after every sample that LCE's interpreter has run.
        with_delegate: Whether to run the file on stock LiteRT with the delegate too, if it is
            there.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or its inputs or outputs are others.
            What the delegate refuses is not raised, but told in the result.
    """
    _check_inputs(content, inputs)
    tapped = taps(model, content)
    tapped += sign_taps(model, content, inputs, tapped, _KERNEL)
    tapped = in_file_order(Graph.from_bytes(content), tapped)
    steps = _rounding_steps(model)
    # The file itself gives the outputs; its bits come from a copy that also outputs those.
    bits_content = with_outputs(content, tapped) if tapped else None
    lce = Side(
        LceInterpreter(content, _KERNEL),
        None if bits_content is None else LceInterpreter(bits_content, _KERNEL),
        tick,
    )
    with contextlib.ExitStack() as stack:
        delegate = _DelegateSide(content, bits_content, stack, with_delegate)
        for start in range(0, len(inputs[0]), _BATCH):
            samples = [array[start : start + _BATCH] for array in inputs]
            with listening(tapped):
                batch = Batch(start, samples, run_keras(model, samples))
            lce.compare(batch, tapped, steps)
            delegate.compare(batch, tapped, steps)
    return Verification(
        **lce.result(steps, labels, split, tapped),
        kernel=_KERNEL,
        delegate=None
        if delegate.side is None
        else Comparison(**delegate.side.result(steps, labels, split, tapped)),
        delegate_label=delegate.label,
        delegate_skipped=delegate.skipped,
    )


def _check_inputs(content: bytes, inputs: Sequence[NDArray[np.float32]]) -> None:
    graph = Graph.from_bytes(content)
    taken = [graph.shape(int(i))[1:] for i in graph.subgraph.inputs]
    given = [list(array.shape[1:]) for array in inputs]
    if taken != given:
        raise ConversionError(
            f"the file takes inputs of the shapes {taken}, the model {given}: it was made from "
            "another model"
        )


class _DelegateSide:
    """LiteRT with the delegate beside Keras, for as long as it works.

    Args:
        content: The file.
        bits_content: Its copy that outputs bits too, or None.
        stack: Ends the processes.
        wanted: Whether to compare at all.

    Attributes:
        side: The comparison, or None.
        label: What ran, or None.
        skipped: Why there is no comparison, or None.
    """

    def __init__(
        self, content: bytes, bits_content: bytes | None, stack: contextlib.ExitStack, wanted: bool
    ) -> None:
        self.side: Side | None = None
        self.label: str | None = None
        self.skipped: str | None = None
        try:
            if not wanted:
                raise ConversionError("not asked for")
            delegate, self.label = usable_delegate()
            interpreter = stack.enter_context(running_on_delegate(content, delegate))
            bit_reader = None
            if bits_content is not None:
                bit_reader = stack.enter_context(running_on_delegate(bits_content, delegate))
            self.side = Side(interpreter, bit_reader)
        except ConversionError as error:
            self.skipped = str(error)

    def compare(self, batch: Batch, tapped: Sequence[Tap], steps: float) -> None:
        """Runs a batch, as `Side.compare` does; the first failure ends the comparison."""
        try:
            if self.side is not None:
                self.side.compare(batch, tapped, steps)
        except ConversionError as error:
            self.side, self.skipped = None, str(error)


def run_keras(
    model: keras.Model, batch: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """The model's outputs for a batch, `[n, …]` each, computed eagerly."""
    tensors = [tf.constant(array) for array in batch]
    outputs = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def _rounding_steps(model: keras.Model) -> float:
    """What rounding explains, relative to the largest magnitude: 2·6·2^-24·ΣK over the layers."""
    fan_ins = [
        int(np.prod(layer.kernel.shape[:-1]))
        for layer in layers_by_filter(model).values()
        if hasattr(layer, "kernel")
    ]
    return 12 * 2.0**-24 * max(sum(fan_ins), 1)
