"""The forms in which a converted file leaves: what `convert export FILE --to TARGET` writes.

A target is one file or folder here and one row in `TARGETS`. It reads `network.py`'s description of
the file, or its bytes, and refuses what it cannot express before anything is written.
"""
