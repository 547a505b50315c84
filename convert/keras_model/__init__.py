"""The Keras model: loading, signature, samples, and its layers as a graph."""
