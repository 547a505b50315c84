"""Figures of FPGA boards with FINN's networks, as their authors report them.

`benchmarks.fpga` writes them into results/fpga.jsonl, beside the estimates.
"""

from typing import Any

_BNN_PYNQ = "https://github.com/Xilinx/BNN-PYNQ/tree/d84f6e887d224791b6a20e7a907123bf9e15ee41/"

REPORTED: list[dict[str, Any]] = [
    {
        "network": "cnv",
        "title": "BNN-PYNQ",
        "source": _BNN_PYNQ + "bnn/src/network/cnvW1A1",
        "figures_in": "README.md, hw/config.h, notebooks/CNV-QNN_Cifar10_Testset.ipynb",
        "tools": "Vivado 2018.2",
        "part": "xc7z020",
        "clock_mhz": 100,
        "lut": 26_072,
        "bram_18k": 248,  # 76 of 36 kbit and 96 of 18 kbit
        "dsp": 24,
        "max_cycles": 32_768,
        "frames_per_s": 3050.00,  # 10,000 images
    },
    {
        "network": "lfc",
        "title": "BNN-PYNQ",
        "source": _BNN_PYNQ + "bnn/src/network/lfcW1A1",
        "figures_in": "README.md, hw/config.h, notebooks/LFC-QNN_MNIST.ipynb",
        "tools": "Vivado 2018.2",
        "part": "xc7z020",
        "clock_mhz": 100,
        "lut": 28_360,
        "bram_18k": 220,  # 6 of 36 kbit and 208 of 18 kbit
        "dsp": 4,
        "max_cycles": 512,
        "frames_per_s": 118_883.45,  # 10,000 images
    },
    {
        "network": "cnv",
        "title": "MLPerf Tiny v0.7",
        "source": "https://github.com/mlcommons/tiny_results_v0.7/tree/"
        "64623f41b6721bdff6d0133a524c63a003123b3b/open/hls4ml-finn",
        "figures_in": "systems/system_description_pynq.json, "
        "results/pynq-z2/ic/CNV-W1A1/performance/results.txt",
        "tools": "FINN, Vivado 2019.1",
        "part": "xc7z020",
        "clock_mhz": 100,
        "frames_per_s": 661.473,  # one image after the other
    },
    {
        "network": "sfc",
        "title": "the FINN paper",
        "source": "https://arxiv.org/abs/1612.07119",
        "figures_in": "abstract (MNIST)",
        "part": "xc7z045",  # of the ZC706
        "frames_per_s": 12_300_000,
    },
    {
        "network": "cnv",
        "title": "the FINN paper",
        "source": "https://arxiv.org/abs/1612.07119",
        "figures_in": "abstract (CIFAR-10)",
        "part": "xc7z045",
        "frames_per_s": 21_906,
    },
]
"""Rows by network; figures that a source leaves out are absent."""
