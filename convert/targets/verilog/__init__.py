"""Plain Verilog-2005 of threshold networks, for any FPGA and any tool."""
