"""Describes the machine."""

import os
import platform
import struct

from .conditions import conditions
from .cores import ARM, ARM_PARTS, clusters
from .files import read_text

# fmt: off
ISA_FEATURES = (
    "sse4_2", "popcnt", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bitalg", "avx512_vpopcntdq", "avx_vnni",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)
# fmt: on
X86 = ("x86_64", "i686", "i386", "AMD64")


def probe():
    """The facts about the machine that go into every row; None where they are unknown."""
    cpuinfo = read_cpuinfo()
    machine = platform.machine()
    flags = _flags(cpuinfo)
    release: dict = {}
    for line in (read_text("/etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        release[key] = value.strip("\"'")
    now = conditions()
    return {
        "cpu": cpu_name(cpuinfo) or platform.processor() or None,
        "board": board_name(),
        "architecture": machine,
        "isa": [feature for feature in ISA_FEATURES if feature in flags],
        "cores": os.cpu_count(),
        "clusters": clusters(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "governor": now["governor"],
        "clock_mhz": now["clock_mhz"],
        "temperature_c": now["temperature_c"],
        "load_1min": now["load_1min"],
        "os": release.get("PRETTY_NAME") or platform.platform(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "user_space_bits": struct.calcsize("P") * 8,
        "virtual_machine": is_virtual_machine(),
        "emulated": is_emulated(cpuinfo, machine),
    }


def read_cpuinfo():
    """The first core's entries of /proc/cpuinfo, or what all of them share."""
    cpuinfo: dict = {}
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        cpuinfo.setdefault(key.strip(), value.strip())
    return cpuinfo


def _flags(cpuinfo):
    return (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()


def is_virtual_machine():
    """Whether a hypervisor says that it is there."""
    return "hypervisor" in _flags(read_cpuinfo()) or read_text("/sys/hypervisor/type") is not None


def cpu_name(cpuinfo):
    """The processor's name: x86's model name, or the ARM core and the chip around it."""
    core = None
    if cpuinfo.get("CPU implementer") == ARM:
        core = ARM_PARTS.get(cpuinfo.get("CPU part", ""))
    # 32-bit ARM kernels put the architecture's name into "model name".
    name = None if core else cpuinfo.get("model name")
    if name is None and core is None and cpuinfo.get("CPU part"):
        core = "CPU part {} of implementer {}".format(
            cpuinfo["CPU part"], cpuinfo.get("CPU implementer", "?")
        )
    chip = cpuinfo.get("Hardware")
    return name or (core + f" ({chip})" if core and chip else core or chip)


def board_name():
    """The board: what the device tree calls it, or a PC's firmware; None without either."""
    model = read_text("/proc/device-tree/model")
    vendor, product = (
        read_text("/sys/class/dmi/id/" + name) for name in ("sys_vendor", "product_name")
    )
    return model or " ".join(part for part in (vendor, product) if part) or None


def is_emulated(cpuinfo, machine):
    """Whether instructions are translated, so that times say nothing of a device.

    A virtual machine is not: it runs them on the processor itself.
    """
    # QEMU's user mode answers for /proc/self, but not for the same links below thread-self.
    try:
        loader = os.path.basename(os.readlink("/proc/thread-self/exe"))
    except OSError:
        loader = ""
    return (
        "qemu" in loader.lower()
        # Some emulators show the host's x86 /proc/cpuinfo to an ARM process.
        or ("vendor_id" in cpuinfo and machine not in X86)
        # QEMU's software processors: implementer 0 is nobody's silicon.
        or cpuinfo.get("CPU implementer") == "0x00"
        or "QEMU" in (cpuinfo.get("model name") or "")
    )
