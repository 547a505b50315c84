"""Keras models and float `.tflite` files → bitpacked files, with an audit and a verification.

    import convert

    conversion = convert.convert_model(model)
    conversion.save("model.tflite")

TensorFlow is imported when the first of these names needs it.
"""

from typing import TYPE_CHECKING

from onebit.lazy import lazy_names

if TYPE_CHECKING:
    from convert.auditing.layers import audit
    from convert.errors import ConversionError, FlatbufferError, SourceError
    from convert.file_conversion import convert_file
    from convert.int8.settings import Int8
    from convert.report import Audit, Layer, Report, Totals, Verification
    from convert.result import Conversion
    from convert.samples import Samples
    from convert.sources import convert_model
    from convert.verification import verify
    from onebit.metadata import Metadata, Normalization

__all__ = [
    "Audit",
    "Conversion",
    "ConversionError",
    "FlatbufferError",
    "Int8",
    "Layer",
    "Metadata",
    "Normalization",
    "Report",
    "Samples",
    "SourceError",
    "Totals",
    "Verification",
    "audit",
    "convert_file",
    "convert_model",
    "verify",
]

_MODULE_OF = {
    "Audit": "convert.report",
    "Conversion": "convert.result",
    "ConversionError": "convert.errors",
    "FlatbufferError": "convert.errors",
    "Int8": "convert.int8.settings",
    "Layer": "convert.report",
    "Metadata": "onebit.metadata",
    "Normalization": "onebit.metadata",
    "Report": "convert.report",
    "Samples": "convert.samples",
    "SourceError": "convert.errors",
    "Totals": "convert.report",
    "Verification": "convert.report",
    "audit": "convert.auditing.layers",
    "convert_file": "convert.file_conversion",
    "convert_model": "convert.sources",
    "verify": "convert.verification",
}

__getattr__ = lazy_names(__name__, _MODULE_OF)
