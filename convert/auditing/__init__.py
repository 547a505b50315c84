"""Which layers of a file are binary, why the others are not, and the packed weights."""
