"""Operators that move, pick or join numbers, and change none."""

MOVES = (
    *("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "SLICE", "SPLIT"),
    *("SPLIT_V", "UNPACK", "GATHER", "GATHER_ND", "REVERSE_V2", "TILE", "BROADCAST_TO"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "BATCH_TO_SPACE_ND", "MIRROR_PAD"),
    *("RESIZE_NEAREST_NEIGHBOR", "REDUCE_MAX", "REDUCE_MIN"),
)
"""Operators that move, repeat or pick numbers of their data input."""

JOINS = ("CONCATENATION", "PACK", "MAXIMUM", "MINIMUM")
"""Operators that put together or pick numbers of all their inputs."""

PADS = ("PAD", "PADV2", "SPACE_TO_BATCH_ND")
"""Operators that add numbers at the border."""
