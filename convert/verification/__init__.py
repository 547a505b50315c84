"""Compares a file with the Keras model that it was made from."""

from convert.verification.verify_file import verify

__all__ = ["verify"]
