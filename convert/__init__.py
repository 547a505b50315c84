"""Keras models → bitpacked `.tflite` files, with an audit and a verification."""
