"""The commands of `python -m edge`, one file each."""
