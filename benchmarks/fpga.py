"""Resources of the zoo's FPGA networks: FINN's estimates, and Yosys' and nextpnr's counts.

    python -m benchmarks.fpga [finn|reported|verilog] [--table finn|verilog]

Rows that results/fpga.jsonl has already are not made again. FINN runs in an environment that the
program makes (tests/support/peers). Nothing is built for a board: FINN's figures are its own
models' estimates, Yosys counts the cells of a netlist, nextpnr places and routes it for a chip
that is not here. Weights are untrained, which changes none of these figures by much. What others
report of boards stands in separate rows, with its source.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import RESULTS
from benchmarks.fpga_reported import REPORTED
from onebit import provenance
from onebit.errors import OnebitError
from onebit.files import read_json_lines

OUTPUT = RESULTS / "fpga.jsonl"
SEED = 1
CLOCK_MHZ = 100

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "tfc_8x8": ("tfc_w1a1", {"input_shape": (8, 8, 1)}),
    "tfc": ("tfc_w1a1", {}),
    "sfc": ("sfc_w1a1", {}),
    "lfc": ("lfc_w1a1", {}),
    "cnv": ("cnv_w1a1", {}),
}
"""Name → the zoo's model and its options."""

FINN_PLAN = [
    ("tfc", "integer", [1000, 100]),
    ("tfc", "float", [1000]),
    ("cnv", "integer", [33_333, 10_000]),
    ("sfc", "integer", [1000, 100]),
    ("lfc", "integer", [1000]),
]
"""Network, input and the cycles that a frame may take; 33,333 are 3,000 frames/s at 100 MHz."""

VERILOG_PLAN = [
    ("tfc_8x8", "folded", (1, 64)),
    ("tfc", "folded", (4, 32)),
    ("tfc_8x8", "combinational", None),
]
"""Network, style, and outputs at once and bits a cycle."""

FAMILIES = {"ice40": "synth_ice40", "xc7": "synth_xilinx -family xc7"}
CHIPS = {"hx8k": ("ct256", 7680), "up5k": ("sg48", 5280)}
"""iCE40 chips: package and logic cells."""

PACKAGES = {"yosys": "yosys", "nextpnr-ice40": "nextpnr-ice40"}


def require(program: str) -> str:
    """The path of a program.

    Raises:
        OnebitError: It is not installed; the hint is Debian's install line.
    """
    path = shutil.which(program)
    if path is None:
        raise OnebitError(
            f"{program} is not installed", hint=f"apt-get install {PACKAGES[program]}"
        )
    return path


def converted(network: str) -> bytes:
    """The `.tflite` file of a network with the weights of a fixed seed."""
    import zoo
    from convert.conversion import convert_model
    from onebit.keras import keras

    name, options = NETWORKS[network]
    keras.utils.set_random_seed(SEED)
    model = zoo.build(name, **options)
    return convert_model(model, samples=None, verification=False, name=name).tflite


def finn_rows(network: str, input_type: str, cycles: list[int]) -> list[dict]:
    """FINN's estimates for foldings of a network."""
    import numpy as np

    from convert.targets.qonnx.target import qonnx
    from convert.targets.reading import read_network
    from convert.targets.thresholds.reading import threshold_network
    from tests.support import peers

    content = converted(network)
    chain = threshold_network(read_network(content))
    height, width, channels = chain.stages[0].input_shape
    shape = (channels,) if (height, width) == (1, 1) else (channels, height, width)
    inputs = np.random.default_rng(SEED).integers(-128, 128, (1, *shape)).astype(np.float32)
    is_integer = input_type == "integer"
    if not is_integer:
        inputs /= 128
    model = qonnx(content, "finn", network, integer_input=is_integer)
    with tempfile.TemporaryDirectory() as folder:
        _, facts = peers.run(peers.FINN, "finn_peer.py", Path(folder), model, inputs, 1, *cycles)
    kinds = {domain for _, domain in facts["nodes"]}
    return [
        {
            "kind": "finn",
            "network": network,
            "input_type": input_type,
            "cycles_asked": estimate["cycles_asked"],
            "only_hardware_nodes": kinds == {"finn.custom_op.fpgadataflow"},
            "nodes": [name for name, _ in facts["nodes"]],
            "lut": round(estimate["resources"]["LUT"]),
            "bram_18k": round(estimate["resources"]["BRAM_18K"]),
            "dsp": round(estimate["resources"]["DSP"]),
            "max_cycles": estimate["performance"]["max_cycles"],
            "slowest_node": estimate["performance"]["max_cycles_node_name"],
            "frames_per_s": estimate["performance"]["estimated_throughput_fps"],
            "clock_mhz": CLOCK_MHZ,
            "part": "xc7z020clg400-1",
            "versions": dict(package.split("==") for package in peers.FINN.without_dependencies),
        }
        for estimate in facts["estimates"]
    ]


def verilog_rows(network: str, style: str, folded: tuple[int, int] | None) -> list[dict]:
    """Yosys' cells of a design for each family, and what nextpnr makes of those of iCE40."""
    from convert.targets.reading import read_network
    from convert.targets.thresholds.reading import threshold_network
    from convert.targets.verilog.folded import cycles
    from convert.targets.verilog.target import verilog_files
    from convert.targets.verilog.walking import Folding

    content = converted(network)
    folding = Folding(*folded) if folded else None
    files = verilog_files(content, network, style, folding=folding)
    count = cycles(threshold_network(read_network(content)), folding) if folded else None
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{network}.v").write_text(files[f"{network}.v"])
        for family in FAMILIES:
            cells = synthesised(Path(folder), network, family)
            row: dict[str, Any] = {
                "kind": "verilog",
                "network": network,
                "style": style,
                "pe": folded and folded[0],
                "simd": folded and folded[1],
                "cycles": count,
                "family": family,
                **cells,
                "chips": {},
                "versions": {"yosys": version("yosys", "-V")},
            }
            if family == "ice40" and style == "folded":
                row["chips"] = {
                    chip: placed(Path(folder), network, chip, cells["lut"]) for chip in CHIPS
                }
                row["versions"]["nextpnr-ice40"] = version("nextpnr-ice40", "--version")
            rows.append(row)
    return rows


def synthesised(folder: Path, name: str, family: str) -> dict[str, int]:
    """LUTs, flip-flops and block memories of a netlist."""
    output = f"-json {name}.json" if family == "ice40" else ""
    script = f"read_verilog {name}.v; {FAMILIES[family]} -top {name} {output}; tee -o stat.txt stat"
    subprocess.run([require("yosys"), "-q", "-p", script], cwd=folder, check=True)
    counts = dict(re.findall(r"^ +(\w+) +(\d+)$", (folder / "stat.txt").read_text(), re.MULTILINE))

    def total(pattern: str) -> int:
        return sum(int(n) for cell, n in counts.items() if re.fullmatch(pattern, cell))

    return {
        "lut": total(r"SB_LUT4|LUT[1-6]"),
        "flip_flops": total(r"SB_DFF\w*|FD[RSCP]E\w*"),
        "memories": total(r"SB_RAM\w*|RAMB\w*"),
        "lut_memories": total(r"RAM(32|64|128|256)\w*"),
    }


def placed(folder: Path, name: str, chip: str, luts: int) -> dict[str, Any]:
    """Logic cells and the highest clock after placing and routing; or why it does not fit."""
    package, cells = CHIPS[chip]
    if luts > cells:
        return {"fits": False, "reason": f"{luts} LUTs of {cells}"}
    command = [require("nextpnr-ice40"), f"--{chip}", "--package", package, "--seed", str(SEED)]
    command += ["--json", f"{name}.json", "--pcf-allow-unconstrained"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    used = re.findall(r"ICESTORM_LC: +(\d+)/", done.stderr)
    clocks = re.findall(r"Max frequency for clock[^:]*: ([\d.]+) MHz", done.stderr)
    if done.returncode or not clocks:
        errors = re.findall(r"ERROR: (.+)", done.stderr)
        return {"fits": False, "reason": errors[0] if errors else "nextpnr failed"}
    return {"fits": True, "logic_cells": int(used[-1]), "max_clock_mhz": float(clocks[-1])}


def version(program: str, option: str) -> str:
    """The version that a program reports."""
    done = subprocess.run([require(program), option], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def finn_table(rows: list[dict]) -> str:
    """FINN's estimates, and below those of a network what boards reached, as a Markdown table."""
    from onebit.console import markdown_table

    def number(row: dict, key: str) -> str | None:
        return None if row.get(key) is None else f"{row[key]:,.0f}"

    headings = ["network", "figures", "part", "input", "LUT", "BRAM 18K", "cycles"]
    headings += ["MHz", "frames/s"]
    kinds = ("finn", "reported")
    order = list(NETWORKS)
    chosen = [row for row in rows if row["kind"] in kinds]
    chosen.sort(key=lambda row: (order.index(row["network"]), kinds.index(row["kind"])))
    lines = [
        [
            row["network"],
            "estimated" if row["kind"] == "finn" else f"[{row['title']}]({row['source']})",
            row["part"].removesuffix("clg400-1"),
            row.get("input_type"),
            *(number(row, key) for key in ("lut", "bram_18k", "max_cycles")),
            *(number(row, key) for key in ("clock_mhz", "frames_per_s")),
        ]
        for row in chosen
    ]
    return markdown_table(lines, headings)


def verilog_table(rows: list[dict]) -> str:
    """Cells of the designs as a Markdown table."""
    from onebit.console import markdown_table

    headings = ["network", "style", "cycles", "family", "LUT", "FF", "memories", *CHIPS]
    chosen = [row for row in rows if row["kind"] == "verilog"]
    return markdown_table(
        [
            [
                row["network"],
                row["style"] + (f", PE {row['pe']}, SIMD {row['simd']}" if row["simd"] else ""),
                row["cycles"] and f"{row['cycles']:,}",
                row["family"],
                f"{row['lut']:,}",
                f"{row['flip_flops']:,}",
                row["memories"] + row["lut_memories"],
                *(_chip(row["chips"].get(chip)) for chip in CHIPS),
            ]
            for row in chosen
        ],
        headings,
    )


def _chip(placing: dict | None) -> str | None:
    if placing is None:
        return None
    return f"{placing['max_clock_mhz']:.0f} MHz" if placing["fits"] else "too large"


def _done(rows: list[dict], **wanted: Any) -> bool:
    return any(all(row.get(key) == value for key, value in wanted.items()) for row in rows)


def _append(rows: list[dict]) -> None:
    about = {
        "schema_version": 1,
        "date": provenance.utc_now(),
        "commit": provenance.commit(),
        "command": "python -m benchmarks.fpga",
    }
    with OUTPUT.open("a") as file:
        for row in rows:
            file.write(json.dumps({**row, **about}) + "\n")
            print(json.dumps(row), file=sys.stderr)


def main() -> None:
    """Makes the rows that are missing, or prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", nargs="?", choices=list(MAKERS), help="these rows only")
    parser.add_argument("--table", choices=list(TABLES), help="print the rows instead")
    arguments = parser.parse_args()
    rows = read_json_lines(OUTPUT)
    if arguments.table:
        print(TABLES[arguments.table](rows), end="")
        return
    for kind, make in MAKERS.items():
        if arguments.kind in (None, kind):
            make(rows)


def _make_reported_rows(rows: list[dict]) -> None:
    missing = [
        {"kind": "reported", **reported}
        for reported in REPORTED
        if not _done(rows, kind="reported", **reported)
    ]
    _append(missing)


def _make_verilog_rows(rows: list[dict]) -> None:
    for network, style, folded in VERILOG_PLAN:
        pe, simd = folded or (None, None)
        if not _done(rows, kind="verilog", network=network, style=style, pe=pe, simd=simd):
            _append(verilog_rows(network, style, folded))


def _make_finn_rows(rows: list[dict]) -> None:
    for network, input_type, cycles in FINN_PLAN:
        missing = [
            count
            for count in cycles
            if not _done(
                rows, kind="finn", network=network, input_type=input_type, cycles_asked=count
            )
        ]
        if missing:
            _append(finn_rows(network, input_type, missing))


MAKERS: dict[str, Callable[[list[dict]], None]] = {
    "verilog": _make_verilog_rows,
    "reported": _make_reported_rows,
    "finn": _make_finn_rows,
}
TABLES: dict[str, Callable[[list[dict]], str]] = {"finn": finn_table, "verilog": verilog_table}


if __name__ == "__main__":
    main()
