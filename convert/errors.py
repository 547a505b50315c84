"""Errors of a conversion."""

from onebit.errors import OnebitError


class SourceError(OnebitError):
    """The model cannot be loaded, or the samples don't fit it."""


class ConversionError(OnebitError):
    """Larq Compute Engine could not convert the model, or its file is unusable."""


class FlatbufferError(OnebitError):
    """The bytes are not a well-formed `.tflite` file."""
