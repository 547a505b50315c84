"""Code that the description of a Keras model names, found before anything of the model is loaded.

Keras' safe mode only keeps stored lambdas from running, and of HDF5 files not even those. Keras 2
imports whatever module a description names, which runs it, and takes any function there in the
place of one of its own (compare CVE-2025-1550). Layers that stand for TensorFlow's functions may be
those that write files. Classes of users are found by their registered names, and need no import.
"""

import builtins
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

TRUSTED = ("keras", "tf_keras", "larq", "larq_zoo", "zoo")
"""Packages whose layers and functions any model may use."""

_USERS_FILES = ("onebit_imported_", "onebit_custom_objects_")
"""Beginnings of the names under which `onebit.imports` runs files that the user gave."""

_CLASS = r"_?[A-Z]\w*"
"""Names of classes in the trusted packages; those of functions are in lower case."""

_COMPUTING_MODULES = (
    r"__operators__|audio|bitwise|dtypes|image|math|quantization|ragged|signal|sparse|strings"
    r"|(nn|linalg|random)(\.experimental)?|keras\.(backend|activations|losses|metrics)"
)
"""TensorFlow's modules, without `tf.`, whose functions compute and do nothing else."""

_COMPUTING_FUNCTIONS = """
    abs acos acosh add add_n approx_top_k argmax argmin argsort as_string asin asinh atan atan2
    atanh batch_gather batch_to_space batch_to_space_nd betainc bincount bitcast boolean_mask
    broadcast_dynamic_shape broadcast_static_shape broadcast_to case cast ceil check_numerics
    cholesky clip_by_average_norm clip_by_global_norm clip_by_norm clip_by_value complex concat
    cond confusion_matrix conj constant convert_to_tensor cos cosh count_nonzero cross cumprod
    cumsum depth_to_space dequantize diag diag_part digamma div div_no_nan divide
    dynamic_partition dynamic_stitch edit_distance eig eigvals einsum ensure_shape equal erf erfc
    exp expand_dims expm1 extract_image_patches extract_volume_patches eye fft fft2d fft3d fftnd
    fill fingerprint floor floor_div floordiv floormod foldl foldr gather gather_nd
    get_static_value greater greater_equal group guarantee_const histogram_fixed_width
    histogram_fixed_width_bins identity identity_n ifft ifft2d ifft3d ifftnd igamma igammac imag
    invert_permutation irfftnd is_finite is_inf is_nan is_symbolic_tensor is_tensor lbeta less
    less_equal lgamma lin_space linspace log log1p log_sigmoid logical_and logical_not logical_or
    logical_xor map_fn matmul matrix_band_part matrix_determinant matrix_diag matrix_diag_part
    matrix_inverse matrix_set_diag matrix_solve matrix_square_root matrix_transpose
    matrix_triangular_solve maximum meshgrid minimum mod multinomial multiply negative no_op norm
    not_equal one_hot ones ones_like pad parallel_stack polygamma pow qr quantize quantize_v2
    quantized_concat random_crop random_gamma random_index_shuffle random_normal random_poisson
    random_shuffle random_uniform range rank real realdiv reciprocal reduce_all reduce_any
    reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum
    required_space_to_batch_paddings repeat reshape reverse reverse_sequence reverse_v2 rfftnd
    rint roll round rsqrt saturate_cast scalar_mul scan scatter_nd searchsorted segment_max
    segment_mean segment_min segment_prod segment_sum self_adjoint_eig self_adjoint_eigvals
    sequence_mask setdiff1d shape shape_n sigmoid sign sin sinh size slice sort space_to_batch
    space_to_batch_nd space_to_depth split sqrt square squared_difference squeeze stack
    stop_gradient strided_slice subtract svd switch_case tan tanh tensor_scatter_add
    tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min tensor_scatter_nd_sub
    tensor_scatter_nd_update tensor_scatter_sub tensor_scatter_update tensordot tile to_bfloat16
    to_complex128 to_complex64 to_double to_float to_int32 to_int64 trace transpose truediv
    truncated_normal truncatediv truncatemod tuple unique unique_with_counts unravel_index
    unsorted_segment_max unsorted_segment_mean unsorted_segment_min unsorted_segment_prod
    unsorted_segment_sqrt_n unsorted_segment_sum unstack vectorized_map
    verify_tensor_all_finite where where_v2 while_loop zeros zeros_like zeta
"""
"""TensorFlow's functions outside of modules that compute and do nothing else, those of its first
version (`compat.v1`) among them.

Not `print`, for one, whose `output_stream` may be a file.
"""

_COMPUTES = re.compile(
    rf"(compat\.v1\.)?(({_COMPUTING_MODULES})\.\w+|debugging\.(assert_\w+|check_numerics)"
    r"|(?P<function>\w+))"
)


def has_lambda_layer(description: Any) -> bool:
    """Whether a model has a Lambda layer, whose Python code lies in the file."""
    names = (entry.get("class_name") for entry in _entries(description))
    return any(isinstance(name, str) and re.split("[.>]", name)[-1] == "Lambda" for name in names)


def foreign_object(description: Any, is_known: Callable[[str], bool]) -> str | None:
    """The first class or function that Keras would import from elsewhere, such as `f of posix`.

    Args:
        description: The JSON content of a model's `config.json`, or of a part of it.
        is_known: Whether a registered or custom object has that name.
    """
    found = (_foreign_object(entry, is_known) for entry in _entries(description))
    return next(filter(None, found), None)


def foreign_call(description: Any) -> str | None:
    """The first function that a layer calls and that is not known only to compute."""
    for entry in _entries(description):
        config = entry.get("config")
        calls = entry.get("class_name") in ("TFOpLambda", "ClassMethod")
        if not calls or not isinstance(config, dict):
            continue
        symbol = config.get("function", config.get("cls_symbol"))
        if symbol is not None and not _computes(str(symbol)):
            return f"tf.{symbol}"
    return None


def _computes(symbol: str) -> bool:
    match = _COMPUTES.fullmatch(symbol)
    if match is None or match["function"] is None:
        return match is not None
    return match["function"] in _COMPUTING_FUNCTIONS.split() or match["function"].startswith(
        "assert_"
    )


def _entries(description: Any) -> Iterator[dict[str, Any]]:
    """All mappings of a JSON document, however deep."""
    left = [description]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            left.extend(reversed(value))


def _foreign_object(entry: dict[str, Any], is_known: Callable[[str], bool]) -> str | None:
    kind, module = entry.get("class_name"), entry.get("module")
    if not isinstance(kind, str) or not module:
        return None  # without a module Keras looks among its own and the known ones
    module, package = str(module), str(module).partition(".")[0]
    if kind == "__typespec__":
        trusted = package in ("tensorflow", *TRUSTED)
        return None if trusted else f"{entry.get('spec_name')} of {module}"
    if kind.startswith("__"):  # tuples, arrays and the like
        return None
    is_function = kind == "function"
    name = str(entry.get("config")) if is_function else kind
    described = f"{name} of {module}"
    if is_function and "inbound_nodes" in entry:
        return described  # it would be called in the place of a layer
    registered = name if is_function else str(entry.get("registered_name") or kind)
    if is_known(registered) or (module in sys.modules and module.startswith(_USERS_FILES)):
        return None
    if is_function and module == "builtins":  # Keras' own functions
        return described if hasattr(builtins, name) else None
    fits = re.fullmatch(r"\w+" if is_function else _CLASS, name)
    return None if package in TRUSTED and fits else described
