"""What the three stages share: error lines, atomic files, bit packing, command-line manners.

It imports none of `zoo`, `convert` and `edge`, and only `onebit.keras` imports TensorFlow.
"""

__version__ = "0.1.0"
