"""`--to c`: a network as C99 for microcontrollers, with the kernels that it needs.

`lower.py` turns operators into calls of the kernels in `runtime/`, `arena.py` places their values
in one static arena, `source.py` writes the network's two files and `project.py` those around them.
"""
