"""Addresses and fleet files."""

from pathlib import Path

import pytest

from edge.devices.adb import AdbDevice
from edge.devices.adb_shell import AdbShellDevice
from edge.devices.fleet_file import Entry, entries_of, read_fleet
from edge.devices.local import LocalDevice
from edge.devices.ssh import SshDevice
from onebit.errors import UsageError

FLEET = """\
[[device]]
name = "pi 4"
address = "ssh://pi@raspberrypi:2222"
threads = [1, 4]
affinity = "big"
python = "/opt/python/bin/python3"
options = ["ProxyJump=gate"]

[[device]]
address = "adb:R58M12"
threads = 2
tool = "tools/benchmark_model"
options = ["--use_gpu=false"]

[[device]]
address = "local"
"""


@pytest.fixture
def fleet(tmp_path):
    """Returns a function that writes a fleet's file."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "benchmark_model").write_text("")

    def write(text):
        path = tmp_path / "fleet.toml"
        path.write_text(text)
        return path

    return write


def test_fleet_is_read(fleet):
    path = fleet(FLEET)
    pi, phone, local = read_fleet(path)
    assert pi == Entry(
        "pi 4", "ssh://pi@raspberrypi:2222", (1, 4), "big", None,
        "/opt/python/bin/python3", ("ProxyJump=gate",),
    )  # fmt: skip
    assert phone.name == "R58M12"
    assert phone.threads == (2,)
    assert phone.tool == path.parent / "tools" / "benchmark_model"
    assert local == Entry("local", "local")
    kinds = [type(entry.device()) for entry in (pi, phone, local)]
    assert kinds == [SshDevice, AdbShellDevice, LocalDevice]
    assert [entry.device().name for entry in (pi, phone)] == ["pi 4", "R58M12"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("device = 1", "no [[device]]"),
        ("", "no [[device]]"),
        ("[[device]\n", "is not TOML"),
        ("[[device]]\naddress = 'local'\nthreads = 257", "whole numbers from 1 to 256"),
        ("[[devices]]\naddress = 'local'", "unknown key 'devices'; did you mean device?"),
        ("[[device]]\nadress = 'local'", "device 1: unknown key 'adress'; did you mean address?"),
        ("[[device]]\nname = 'x'", "device 1 has no address; write local, ssh://"),
        ("[[device]]\naddress = 'pi@host'", "'pi@host' is not a device; write local, ssh://"),
        ("[[device]]\naddress = 'ssh://-oProxyCommand=x'", "no dash at the beginning"),
        ("[[device]]\naddress = 'local'\nthreads = 0", "threads"),
        ("[[device]]\naddress = 'local'\nthreads = [true]", "threads"),
        ("[[device]]\naddress = 'local'\nthreads = '4'", "threads"),
        ("[[device]]\naddress = 'local'\naffinity = 'huge'", "affinity 'huge'"),
        ("[[device]]\naddress = 'local'\noptions = 'x'", "options"),
        ("[[device]]\naddress = 'local'\npython = 3", "python must be a non-empty string"),
    ],
)
def test_malformed_fleet_is_refused_with_the_place(fleet, text, words):
    with pytest.raises(UsageError) as caught:
        read_fleet(fleet(text))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "address = 'ssh://pi:hunter2@board'",
        "address = 'ssh://pi%3Ahunter2@board'",
        "address = 'ssh://pi:hunter2@board:22/'",
        "address = 'ssh://pi:hunt/er2@board'",
        "address = 'ssh://pi:hunter2@hunter2@board'",
        "address = 'pi:hunter2@board'",
        "address = 'http://pi:hunter2@board'",
        "address = 'adb:pi:hunter2@board'",
        "address = 'ssh://board'\nname = 'pi:hunter2@board'",
        "address = 'ssh://board'\noptions = ['ProxyJump=pi:hunter2@gate']",
        "address = 'ssh://board'\noptions = ['ProxyCommand=sshpass -p hunter2 ssh gate']",
        "address = 'ssh://board'\noptions = ['Password=hunter2']",
        "address = 'ssh://board'\npassword = 'hunter2'",
    ],
)
def test_password_is_refused_and_never_repeated(fleet, text):
    with pytest.raises(UsageError) as caught:
        entries_of((), None, fleet(f"[[device]]\n{text}\n"))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[device]]\naddress = 'local'\noptions = ['a=b']", "takes none without a tool"),
        ("[[device]]\naddress = 'adb:X'\noptions = ['a=b']", "takes none without a tool"),
        ("[[device]]\naddress = 'ssh://h'\noptions = ['--x']", "is not an ssh option"),
        ("[[device]]\naddress = 'adb:X'\ntool = 'missing'", "does not exist"),
        (2 * "[[device]]\naddress = 'local'\n", "two devices are called 'local'"),
    ],
)
def test_fleet_that_cannot_work_is_refused(fleet, text, words):
    with pytest.raises(UsageError) as caught:
        entries_of((), None, fleet(text))
    assert words in str(caught.value)


def test_missing_fleet_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_fleet(tmp_path / "no.toml")


def test_command_line_names_devices():
    assert entries_of((), None, None) == [Entry("local", "local")]
    entries = entries_of(("ssh://pi@one", "adb:X1", "local"), None, None)
    assert [entry.name for entry in entries] == ["one", "X1", "local"]
    assert isinstance(entries[1].device(), AdbDevice)


def test_two_ports_of_a_host_have_names_of_their_own():
    entries = entries_of(("ssh://pi@one:1", "ssh://pi@one:2", "ssh://two"), None, None)
    assert [entry.name for entry in entries] == ["pi@one:1", "pi@one:2", "two"]
    with pytest.raises(UsageError, match="is given twice"):
        entries_of(("ssh://pi@one", "ssh://pi@one"), None, None)


def test_tool_must_exist():
    with pytest.raises(UsageError, match="does not exist"):
        entries_of(("adb:X1",), Path("/no/benchmark_model"), None)
