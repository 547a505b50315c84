"""The commands of `onebit convert`, one file each, and how they read sources and data.

They import what needs TensorFlow themselves: help and errors must not wait for it. The files that
import `zoo` look names and run folders up in it.
"""
