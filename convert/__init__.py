"""Keras models → bitpacked `.tflite` files, with an audit and a verification.

import convert

conversion = convert.convert_model(model)
conversion.save("model.tflite")
"""

from convert.audit import audit
from convert.conversion import Conversion, Samples, convert_model
from convert.errors import ConversionError, FlatbufferError, SourceError
from convert.report import Audit, Layer, Report, Totals, Verification
from convert.verification import verify

__all__ = [
    "Audit",
    "Conversion",
    "ConversionError",
    "FlatbufferError",
    "Layer",
    "Report",
    "Samples",
    "SourceError",
    "Totals",
    "Verification",
    "audit",
    "convert_model",
    "verify",
]
