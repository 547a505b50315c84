"""LCE's converter and interpreter, and stock LiteRT with the delegate."""
