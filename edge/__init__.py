"""Runs and measures `.tflite` files on devices; needs neither Keras nor Larq."""
