"""The commands of `onebit zoo`, one file each.

They import what needs TensorFlow themselves: help and errors must not wait for it.
"""
