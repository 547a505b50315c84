"""Reading a `.tflite` file as the `Network` that targets write.

`reader` goes through the file, `operators` reads each operator's options, `scales` puts scales
behind packed filters into them, `values` says what a tensor's numbers mean.
"""

from convert.targets.reading.reader import read_network
from convert.targets.reading.values import real_values, sign_values

__all__ = ["read_network", "real_values", "sign_values"]
