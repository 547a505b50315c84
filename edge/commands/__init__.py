"""The commands of `onebit edge`, one file each."""
