"""Reading a `.tflite` file as the `Network` that targets write.

`reader` goes through the file, `operators` reads each operator's options and `tensors` each value,
`scales` puts scales behind packed filters into the operators with these, `values` has the meaning
of a tensor's numbers.
"""

from convert.targets.reading.reader import read_network
from convert.targets.reading.values import real_values, sign_values

__all__ = ["read_network", "real_values", "sign_values"]
