"""Signs and levels with the gradients that train through them, as functions.

Each has Larq's or the zoo's formulas (`zoo/layers/quantizers.py`), by `keras.ops.custom_gradient`.
The straight-through trick `x + stop_gradient(sign(x) − x)` would do in training, but it leaves its
arithmetic in the exported model.
"""

from collections.abc import Callable
from typing import Any

from keras import ops


def sign(x: Any) -> Any:
    """−1 if x < 0, else +1; ±0 counts as +1."""
    return ops.cast(ops.where(ops.less(x, 0), -1.0, 1.0), x.dtype)


def with_gradient(
    forward: Callable[[Any], Any], gradient: Callable[[Any, Any], Any], x: Any
) -> Any:
    """`forward(x)`, whose gradient is `gradient(x, upstream)`."""

    @ops.custom_gradient
    def call(x: Any) -> tuple[Any, Callable[..., Any]]:
        # PyTorch's backend hands the inputs on too, and names the upstream gradient.
        def backward(*arguments: Any, upstream: Any = None) -> Any:
            return gradient(x, arguments[-1] if upstream is None else upstream)

        return forward(x), backward

    return call(x)


def _within(x: Any, limit: float | None, upstream: Any) -> Any:
    """The upstream gradient where |x| ≤ limit, else 0; everywhere without a limit."""
    if limit is None:
        return upstream
    return ops.where(ops.less_equal(ops.abs(x), limit), upstream, ops.zeros_like(upstream))


def ste_sign(x: Any, clip_value: float | None = 1.0) -> Any:
    """The sign with the straight-through gradient.

    Forward: q(x) = −1 if x < 0, else +1
    Gradient: ∂q/∂x = 1 if |x| ≤ clip_value, else 0

    Binarized Neural Networks, arXiv 1602.02830, equation 4.
    """
    return with_gradient(sign, lambda x, upstream: _within(x, clip_value, upstream), x)


def approx_sign(x: Any) -> Any:
    """The sign with the gradient of a piecewise polynomial.

    Forward: q(x) = −1 if x < 0, else +1
    Gradient: ∂q/∂x = 2 − 2·|x| if |x| ≤ 1, else 0

    Bi-Real Net, arXiv 1808.00278, section 3.2.
    """
    return with_gradient(
        sign, lambda x, upstream: _within(x, 1.0, (1 - ops.abs(x)) * 2 * upstream), x
    )


def swish_sign(x: Any, beta: float = 5.0) -> Any:
    """The sign with the gradient of SignSwish.

    Forward: q(x) = −1 if x < 0, else +1
    Gradient: ∂q/∂x = β·(2 − βx·tanh(βx/2)) / (1 + cosh(βx))

    BNN+, arXiv 1812.11800, equation 4.
    """

    def gradient(x: Any, upstream: Any) -> Any:
        scaled = beta * x
        return upstream * beta * (2 - scaled * ops.tanh(scaled * 0.5)) / (1 + ops.cosh(scaled))

    return with_gradient(sign, gradient, x)


def stochastic_sign(x: Any, uniform: Any) -> Any:
    """±1, drawn with probabilities that grow linearly with x.

    Forward: q(x) = +1 if u < clip((x + 1) / 2, 0, 1), else −1
    Gradient: ∂q/∂x = 1

    BinaryConnect, arXiv 1511.00363, equations 2 and 3.
    """

    def forward(x: Any) -> Any:
        drawn = ops.less(uniform, ops.clip((x + 1.0) / 2.0, 0.0, 1.0))
        return ops.cast(ops.where(drawn, 1.0, -1.0), x.dtype)

    return with_gradient(forward, lambda x, upstream: upstream, x)


def scaled_sign(x: Any) -> Any:
    """The sign, scaled per output channel by the mean magnitude of the channel's weights `[…, O]`.

    Forward: q(w) = α·sign(w), α = mean |w| over the channel
    Gradient: ∂q/∂w = 1/n + α if |w| ≤ 1, else 1/n, for n weights per channel

    XNOR-Net, arXiv 1603.05279, equation 6 and section 3.1.
    """
    outer = tuple(range(len(x.shape) - 1))

    def gradient(x: Any, upstream: Any) -> Any:
        magnitude = ops.abs(x)
        scale = ops.mean(magnitude, axis=outer)
        share = 1.0
        for size in x.shape[:-1]:
            share /= size
        return upstream * (share + _within(x, 1.0, scale * ops.ones_like(x)))

    return with_gradient(lambda x: ops.mean(ops.abs(x), axis=outer) * sign(x), gradient, x)


def elastic(x: Any, scale: Any, threshold: Any, *, signed: bool = True) -> Any:
    """Two levels, a learned scale α apart, about a learned threshold β.

    With z = (x − β) / α:

    Forward, signed:    q(x) = α·sign(x − β)
    Forward, unsigned:  q(x) = α if x ≥ β + α/2, else 0
    Gradient: ∂q/∂x = 1 if L ≤ z ≤ 1, else 0, with L = −1 (signed) or 0
              ∂q/∂β = −∂q/∂x, summed over what shares a threshold
              ∂q/∂α = Σ s / √n for n elements, s = sign(z) (signed), else 0 if z < 0, 1 if z > 1,
                      q/α − z between

    BiT, arXiv 2205.13016, section 3.2; the zoo's `elastic` for one bit.

    Args:
        x: Values of any shape.
        scale: α, a scalar above 0.
        threshold: β, a scalar or one per last dimension of `x`.
        signed: Whether the lower level is −α, not 0.
    """
    low = -1.0 if signed else 0.0

    @ops.custom_gradient
    def call(x: Any, scale: Any, threshold: Any) -> tuple[Any, Callable[..., Any]]:
        cut = threshold if signed else threshold + scale / 2
        levels = sign(x - cut) if signed else (sign(x - cut) + 1.0) / 2.0

        def backward(*arguments: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            upstream = arguments[-1] if upstream is None else upstream
            z = (x - threshold) / scale
            inside = ops.cast(ops.logical_and(z >= low, z <= 1), x.dtype)
            slopes = levels if signed else levels - inside * z
            by_x = upstream * inside
            shared = tuple(range(len(x.shape) - len(threshold.shape)))
            share = ops.rsqrt(ops.cast(ops.size(x), x.dtype))
            return by_x, share * ops.sum(upstream * slopes), -ops.sum(by_x, axis=shared)

        return levels * scale, backward

    return call(x, scale, threshold)
