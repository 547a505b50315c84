"""Microcontrollers: exported networks built with a board package of ours, run under QEMU, counted.

A board is a row of `catalogue.BOARDS`: its processor, its memories, its emulator.
"""
