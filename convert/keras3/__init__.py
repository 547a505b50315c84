"""Models of Keras 3 and SavedModels as float `.tflite` files, made and run in a separate process.

TensorFlow decides once per process which Keras it brings, and Larq needs Keras 2: so these live
elsewhere, and the binariser takes the float file.
"""
