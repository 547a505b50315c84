"""The runner on made-up boards: files of /proc and /sys that they would have."""

import pytest

from edge.runner import conditions as conditions_module
from edge.runner import cores, files, machine, pi
from edge.runner import energy as energy_module
from edge.runner.conditions import conditions
from edge.runner.cores import chosen_cpus, clusters, pin
from edge.runner.energy import battery_watts, find_meter, measure_energy, pi_watts
from edge.runner.errors import RequestError

CPU = "/sys/devices/system/cpu/cpu"


@pytest.fixture
def board(tmp_path, monkeypatch):
    """Returns a function that writes files of a machine, on which the runner then is."""
    monkeypatch.setattr(files, "ROOT", str(tmp_path))
    monkeypatch.setattr(pi.shutil, "which", lambda name: None)

    def write(content):
        for path, text in content.items():
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return write


def cpuinfo(parts):
    return "\n\n".join(
        f"processor\t: {n}\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"
        f"CPU part\t: {part}"
        for n, part in enumerate(parts)
    )


def big_little(capacities=True):
    """A phone's eight cores: four small ones, three middle ones, one big one."""
    kinds = [(4, "0xd05", 250, 1.8), (3, "0xd0d", 800, 2.4), (1, "0xd0d", 1024, 2.8)]
    content, parts = {}, []
    for count, part, capacity, ghz in kinds:
        for _ in range(count):
            folder = f"{CPU}{len(parts)}"
            if capacities:
                content[f"{folder}/cpu_capacity"] = capacity
            content[f"{folder}/cpufreq/cpuinfo_max_freq"] = int(ghz * 1e6)
            content[f"{folder}/cpufreq/scaling_cur_freq"] = int(ghz * 1e6) - 1000 * len(parts)
            content[f"{folder}/cpufreq/scaling_governor"] = (
                "powersave" if part == "0xd05" else "performance"
            )
            parts.append(part)
    return content | {"/proc/cpuinfo": cpuinfo(parts)}


@pytest.mark.parametrize("capacities", [True, False])
def test_big_and_little_cores_are_distinguished(board, capacities):
    board(big_little(capacities))
    assert [group["cpus"] for group in clusters()] == [[7], [4, 5, 6], [0, 1, 2, 3]]
    assert [group["core"] for group in clusters()] == ["Cortex-A77", "Cortex-A77", "Cortex-A55"]
    assert clusters()[0]["max_mhz"] == 2800
    assert chosen_cpus("big") == [7]
    assert chosen_cpus("little") == [0, 1, 2, 3]
    assert chosen_cpus("4,0,4") == [0, 4]


def test_core_that_is_offline_belongs_to_nothing(board):
    board(big_little() | {f"{CPU}7/online": 0})
    assert chosen_cpus("big") == [4, 5, 6]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({f"{CPU}0/cpu_capacity": 1024, f"{CPU}1/cpu_capacity": 1024}, "no big and little cores"),
        ({f"{CPU}0/topology": ""}, "no big and little cores"),
        ({}, "no big and little cores"),
    ],
)
def test_machine_without_big_and_little_cores_says_so(board, content, reason):
    board(content)
    with pytest.raises(RequestError, match=reason):
        chosen_cpus("big")


def test_affinity_that_is_none_is_refused():
    with pytest.raises(RequestError, match="not big, little"):
        chosen_cpus("0-3")


def test_pinning_happens_before_threads_start_and_says_where(monkeypatch):
    pinned = [{0, 1, 2}]
    monkeypatch.setattr(cores.os, "sched_setaffinity", lambda p, cpus: pinned.append(set(cpus)))
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda p: pinned[-1])
    assert pin(None) == [0, 1, 2]
    assert pin("2,1") == [1, 2]


def test_pinning_that_is_refused_says_so(monkeypatch):
    def refuse(process, cpus):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cores.os, "sched_setaffinity", refuse)
    with pytest.raises(RequestError, match="cannot run on the cores 99: Invalid argument"):
        pin("99")


def test_conditions_are_those_of_the_cores_in_use(board):
    board(big_little())
    assert conditions([4, 5])["clock_mhz"] == 2400 - 5
    assert conditions([4, 5])["governor"] == "performance"
    assert conditions([0, 4])["governor"] == "performance, powersave"
    unknown = {"temperature_c", "throttle_count", "throttle_flags", "cooling"}
    assert {key for key in unknown if conditions([0])[key] is None} == unknown


def test_temperature_is_that_of_the_processor(board):
    zone = "/sys/class/thermal/thermal_zone"
    board({f"{zone}0/type": "battery", f"{zone}0/temp": 90_000})
    assert conditions()["temperature_c"] == 90
    board({f"{zone}1/type": "cpu-thermal", f"{zone}1/temp": 48_312})
    board({f"{zone}2/type": "cpu-1-thermal", f"{zone}2/temp": 51_000})
    board({f"{zone}3/type": "cpu-off", f"{zone}3/temp": -40_000})
    assert conditions()["temperature_c"] == 51


@pytest.mark.parametrize("sysfs", [True, False])
def test_flags_of_a_pi_come_from_the_kernel_or_its_tool(board, sysfs, monkeypatch):
    if sysfs:
        board({conditions_module.THROTTLED_PATH: "50005"})
    else:
        answer = type("Done", (), {"stdout": b"throttled=0x50005\n"})
        monkeypatch.setattr(pi.shutil, "which", lambda name: name)
        monkeypatch.setattr(pi.subprocess, "run", lambda *a, **k: answer)
    assert conditions()["throttle_flags"] == 0x50005


def test_cooling_that_holds_the_processor_down_is_named(board):
    device = "/sys/class/thermal/cooling_device"
    board({f"{device}0/type": "pwm-fan", f"{device}0/cur_state": 4})
    assert conditions()["cooling"] is None
    board({f"{device}1/type": "cpufreq-cpu0", f"{device}1/cur_state": 0})
    assert conditions()["cooling"] == []
    board({f"{device}1/cur_state": 3})
    assert conditions()["cooling"] == ["cpufreq-cpu0"]


def test_throttle_counts_of_x86_cores_add_up(board):
    count = "thermal_throttle/core_throttle_count"
    board({f"{CPU}0/{count}": 3, f"{CPU}1/{count}": 4})
    assert conditions()["throttle_count"] == 7


def test_probe_names_the_core_and_the_board(board):
    board(
        {
            "/proc/cpuinfo": cpuinfo(["0xd08"] * 4) + "\nHardware\t: BCM2711",
            "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.2\0",
        }
    )
    answer = machine.probe()
    assert answer["cpu"] == "Cortex-A72 (BCM2711)"
    assert answer["board"] == "Raspberry Pi 4 Model B Rev 1.2"
    assert answer["isa"] == ["asimd", "asimddp"]


@pytest.mark.parametrize(
    ("loader", "cpuinfo", "architecture", "emulated"),
    [
        ("/usr/bin/python3.11", {"CPU implementer": "0x41"}, "aarch64", False),
        ("/usr/bin/python3.11", {"vendor_id": "GenuineIntel"}, "x86_64", False),
        ("/usr/bin/qemu-aarch64-static", {"CPU implementer": "0x41"}, "aarch64", True),
        ("/usr/bin/python3.11", {"vendor_id": "GenuineIntel"}, "aarch64", True),
        ("/usr/bin/python3.11", {"CPU implementer": "0x00"}, "aarch64", True),
        ("/usr/bin/python3.11", {"model name": "QEMU Virtual CPU 2.5+"}, "x86_64", True),
    ],
)
def test_emulation_is_recognised(monkeypatch, loader, cpuinfo, architecture, emulated):
    monkeypatch.setattr(machine.os, "readlink", lambda path: loader)
    assert machine.is_emulated(cpuinfo, architecture) is emulated


def test_counters_of_packages_are_read_and_wrap_around(board):
    zone = "/sys/class/powercap/intel-rapl:"
    board({f"{zone}0/name": "package-0", f"{zone}0/energy_uj": 9_000_000})
    board({f"{zone}0/max_energy_range_uj": 10_000_000})
    board({f"{zone}0:0/name": "core", f"{zone}0:0/energy_uj": 5_000_000})
    board({f"{zone}1/name": "psys", f"{zone}1/energy_uj": 5_000_000})
    meter = find_meter()
    assert meter.source == "rapl"
    meter.start()
    board({f"{zone}0/energy_uj": 2_500_000})
    assert meter.stop() == pytest.approx(3.5)


def test_power_of_a_pi_5_is_the_sum_of_its_rails(board, monkeypatch):
    printed = (
        b" 3V7_WL_SW_A current(0)=0.10000000A\n 3V3_SYS_A current(1)=0.05000000A\n"
        b" VDD_CORE_A current(7)=2.00000000A\n 3V7_WL_SW_V volt(8)=3.70000000V\n"
        b" 3V3_SYS_V volt(9)=3.30000000V\n VDD_CORE_V volt(15)=0.80000000V\n"
        b" EXT5V_V volt(24)=5.10000000V\n"
    )
    monkeypatch.setattr(pi.shutil, "which", lambda name: name)
    monkeypatch.setattr(pi.subprocess, "run", lambda *a, **k: type("Done", (), {"stdout": printed}))
    # The last rail has no current; its voltage without a current gives no power.
    assert pi_watts() == pytest.approx(0.1 * 3.7 + 0.05 * 3.3 + 2.0 * 0.8)
    assert find_meter().source == "pi-pmic"


def test_battery_counts_only_while_it_is_discharged(board):
    battery = "/sys/class/power_supply/BAT0"
    board({f"{battery}/type": "Battery", f"{battery}/status": "Charging"})
    board({f"{battery}/current_now": -500_000, f"{battery}/voltage_now": 4_000_000})
    assert battery_watts() is None
    board({f"{battery}/status": "Discharging"})
    assert battery_watts() == pytest.approx(2.0)
    board({f"{battery}/power_now": 3_000_000})
    assert battery_watts() == pytest.approx(3.0)


def test_energy_is_the_mean_power_times_the_time(board, monkeypatch):
    battery = "/sys/class/power_supply/BAT0"
    board({f"{battery}/type": "Battery", f"{battery}/status": "Discharging"})
    board({f"{battery}/power_now": 3_000_000})
    monkeypatch.setattr(energy_module, "IDLE_SECONDS", 0.05)
    ran = []
    measured = measure_energy(ran.append, ["inputs"], 0.2)
    assert measured["source"] == "battery"
    assert measured["inferences"] == len(ran)
    # Power was 3 W throughout; the span of the joules holds that of the seconds.
    assert measured["joules"] >= 3.0 * measured["seconds"] * (1 - 1e-9)
    assert measured["idle_watts"] > 0


def test_machine_without_a_meter_runs_nothing_for_it(board):
    assert measure_energy(pytest.fail, [], 1.0) is None
