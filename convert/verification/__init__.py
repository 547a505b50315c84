"""Compares a file with the model that it was made from."""

from typing import TYPE_CHECKING

from onebit.lazy import lazy_names

if TYPE_CHECKING:
    from convert.verification.verify_file import verify

__all__ = ["verify"]

# Comparing with a float file needs no TensorFlow.
__getattr__ = lazy_names(__name__, {"verify": "convert.verification.verify_file"})
