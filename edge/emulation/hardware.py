"""Made-up /proc and /sys files of a board, for what reads them."""

from pathlib import Path

CORES = 4
MODEL = "Raspberry Pi 4 Model B Rev 1.2"
CORE = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
# Folder, level, type, size, ways, sets, and whether all cores share it.
CACHES = (
    ("index0", 1, "Data", "32K", 2, 256, False),
    ("index1", 1, "Instruction", "48K", 3, 256, False),
    ("index2", 2, "Unified", "1024K", 16, 1024, True),
)


def write_raspberry_pi_4(folder: Path) -> None:
    """Writes `proc` and `sys` of four Cortex-A72 at 1.5 GHz and 48 °C into `folder`."""
    files = {
        "proc/cpuinfo": "".join(CORE.format(core=core) for core in range(CORES))
        + f"Hardware\t: BCM2835\nRevision\t: c03112\nModel\t\t: {MODEL}\n",
        "sys/firmware/devicetree/base/model": f"{MODEL}\0",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/devices/system/cpu/kernel_max": f"{CORES - 1}\n",
    }
    everyone = f"0-{CORES - 1}\n"
    for name in ("possible", "present", "online"):
        files[f"sys/devices/system/cpu/{name}"] = everyone
    for core in range(CORES):
        values = {
            "topology/physical_package_id": "0\n",
            "topology/cluster_id": "0\n",
            "topology/core_id": f"{core}\n",
            "topology/thread_siblings_list": f"{core}\n",
            "topology/core_siblings_list": everyone,
            "topology/package_cpus_list": everyone,
            "topology/cluster_cpus_list": everyone,
            "cpufreq/cpuinfo_min_freq": "600000\n",
            "cpufreq/cpuinfo_max_freq": "1500000\n",
            "cpufreq/scaling_cur_freq": "1500000\n",
            "cpufreq/scaling_governor": "performance\n",
        }
        for name, level, kind, size, ways, sets, shared in CACHES:
            values |= {
                f"cache/{name}/level": f"{level}\n",
                f"cache/{name}/type": f"{kind}\n",
                f"cache/{name}/size": f"{size}\n",
                f"cache/{name}/ways_of_associativity": f"{ways}\n",
                f"cache/{name}/number_of_sets": f"{sets}\n",
                f"cache/{name}/coherency_line_size": "64\n",
                f"cache/{name}/shared_cpu_list": everyone if shared else f"{core}\n",
            }
        for name, value in values.items():
            files[f"sys/devices/system/cpu/cpu{core}/{name}"] = value
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
