"""Networks of integer sums, thresholds and bits: what FPGA targets share."""
