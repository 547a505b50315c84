"""An Android device without Python: files by `adb push`, programs by its shell.

A first `adb shell` makes the private folder and holds it: when its input ends, because the harness
is done or gone, it removes the folder. Each program runs under a shell that kills it when its own
input ends. Exit codes of adb are not trusted: every output ends with a marker, or it was cut.
"""

import hashlib
import re
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.devices import Completed, InterruptedRunError, RunnerError
from edge.devices.adb import ADB_SECONDS, adb, parse_serial, require_ready
from edge.devices.delegate_builds import delegate_for
from edge.devices.remote import PathLike
from edge.results.row import Host
from onebit.delegate import Delegate

PUSH_SECONDS = 600
KILL_SECONDS = 10
MARKER = "onebit-end"

# Process group 0 is the shell's own: adbd makes a session for each.
RUN = f"""\
cd {{folder}} || exit 1
exec 3<&0
(read -r line <&3; kill -9 0) & watch=$!
{{command}} </dev/null 2>&1
code=$?
kill "$watch" 2>/dev/null
echo; echo "{MARKER} $code"
"""
HOLD = f"""\
umask 077
for parent in "$TMPDIR" /data/local/tmp /tmp; do
  [ -n "$parent" ] && [ -w "$parent" ] && folder=$(mktemp -d "$parent/onebit-XXXXXXXX") && break
done
[ -n "$folder" ] || {{ echo "no temporary folder"; exit 1; }}
echo "{MARKER} $folder"
read -r line
rm -rf "$folder"
"""
# Each program is a process that the device has to start, so the shell itself reads what it can.
ASK = """\
first() { [ -r "$2" ] && read -r line < "$2" && echo "$1 $line"; }
set -- $(uname -rm); echo "kernel $1"; echo "machine $2"
echo "model $(getprop ro.product.model)"; echo "android $(getprop ro.build.version.release)"
echo "abi $(getprop ro.product.cpu.abi)"; echo "loader $(readlink /proc/thread-self/exe)"
first load /proc/loadavg
first governor /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor
first percent /sys/class/power_supply/battery/capacity
first charge /sys/class/power_supply/battery/status
cores=0
while read -r key _; do [ "$key" = processor ] && cores=$((cores + 1)); done < /proc/cpuinfo
echo "cores $cores"
while read -r key size _; do
  case $key in MemTotal:) echo "memory $size";; MemAvailable:) echo "available $size";; esac
done < /proc/meminfo
[ -e /system/bin/linker ] && echo "libc bionic"
df -k . | while read -r _ _ _ free _; do echo "disk $free"; done
"""


class AdbShellDevice:
    """A device that is used through its shell only, for programs such as `benchmark_model`."""

    kind = "adb"

    def __init__(self, address: str, name: str | None = None) -> None:
        """Checks the address; connects only when it is entered.

        Raises:
            UsageError: The address is malformed.
        """
        self.serial = parse_serial(address)
        self.name = name or self.serial
        self._holder: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._sent: dict[str, str] = {}
        self._answer: dict[str, str] | None = None
        self._interrupted = threading.Event()

    def __enter__(self) -> "AdbShellDevice":
        require_ready(self.serial, self.name)
        self._holder = self._shell(HOLD)
        try:
            output = _collect(self._holder, ADB_SECONDS, self._interrupted, f"{MARKER} ".encode())
        except BaseException:
            self.clean_up()
            raise
        match = re.search(rf"{MARKER} (/[^\r\n]+)", output.decode("utf-8", "replace"))
        if match is None:
            self.clean_up()
            words = output.decode("utf-8", "replace").strip()[:200]
            raise RunnerError(f"cannot make a folder on {self.name}: {words or 'no answer'}")
        self._folder = match[1]
        return self

    def __exit__(self, *exception: object) -> None:
        self.clean_up()

    def probe(self) -> Host:
        """Describes the device, as far as its shell knows it."""
        facts = self._facts()
        loads, memory = facts.get("load", "").split(), re.findall(r"\d+", facts.get("memory", ""))
        return Host(
            device=self.name,
            kind=self.kind,
            board=facts.get("model"),
            architecture=facts.get("machine"),
            cores=int(facts["cores"]) if facts.get("cores", "").isdigit() else None,
            memory_bytes=int(memory[0]) * 1024 if memory else None,
            governor=facts.get("governor"),
            load_1min=float(loads[0]) if loads else None,
            os=f"Android {facts['android']}" if facts.get("android") else None,
            kernel=facts.get("kernel"),
            emulated="qemu" in facts.get("loader", ""),
        )

    def inspect(self) -> dict[str, Any]:
        """Memory, disk and battery; the rest of `edge/runner/inspection.py` needs Python."""
        facts = self._facts()

        def number(key: str, scale: int = 1) -> int | None:
            match = re.search(r"\d+", facts.get(key, ""))
            return int(match[0]) * scale if match else None

        percent, state = number("percent"), facts.get("charge")
        return {
            "available_bytes": number("available", 1024),
            "free_bytes": number("disk", 1024),
            "battery": None if percent is None else {"percent": percent, "state": state},
        }

    def delegate(self, build: bool = True) -> Delegate:
        """The delegate's library for the device's ABI.

        Raises:
            OnebitError: It is not built.
        """
        facts = self._facts()
        bits = 32 if facts.get("abi", "").startswith("armeabi") else 64
        libc = facts.get("libc", "glibc")
        return delegate_for(facts.get("machine", "unknown"), bits, libc, build)

    def put(self, path: PathLike) -> str:
        """Sends a file, unless one with the same content was sent; returns its path there.

        Raises:
            RunnerError: It did not arrive whole.
        """
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        if digest not in self._sent:
            suffix = re.sub(r"[^.\w]", "", Path(path).suffix, flags=re.ASCII)
            remote = f"{self._folder}/{digest[:20]}{suffix}"
            local = str(Path(path).resolve())
            done = adb("-s", self.serial, "push", local, remote, timeout_seconds=PUSH_SECONDS)
            quoted = shlex.quote(remote)
            there = self.execute(
                ["sh", "-c", f"chmod 700 {quoted}; sha256sum {quoted}"], ADB_SECONDS
            )
            if digest not in there.output.decode("utf-8", "replace"):
                # adb prints the cause on standard output, with both paths in front of it.
                lines = (done.stdout + done.stderr).splitlines()
                errors = [line.rpartition("': ")[2] for line in lines if "error" in line]
                words = errors[-1] if errors else "it arrived changed"
                raise RunnerError(f"cannot put {Path(path).name} on {self.name}: {words}")
            self._sent[digest] = remote
        return self._sent[digest]

    def execute(self, command: Sequence[str], timeout_seconds: float, text: str = "") -> Completed:
        """Runs a program in the folder; its output is both streams together.

        Raises:
            RunnerError: It took longer than `timeout_seconds`, or the connection was cut.
        """
        if text:
            raise RunnerError("a program on a device without Python gets no input")
        script = RUN.format(folder=shlex.quote(self._folder), command=shlex.join(command))
        process = self._shell(script)
        try:
            output = _collect(process, timeout_seconds, self._interrupted)
        finally:
            _hang_up(process)
        body, marker, code = output.replace(b"\r\n", b"\n").rpartition(f"\n{MARKER} ".encode())
        if not marker or not code.strip().isdigit():
            raise RunnerError("the connection to the device was cut: the output has no end")
        return Completed(int(code), body, "")

    def interrupt(self) -> None:
        """Has what runs raise, from another thread."""
        self._interrupted.set()

    def clean_up(self) -> None:
        """Hangs up: the shell that holds the folder removes it."""
        if self._holder is not None:
            _hang_up(self._holder)
            self._holder = None

    def _shell(self, script: str) -> "subprocess.Popen[bytes]":
        command = f"exec sh -c {shlex.quote(script)}"
        return subprocess.Popen(
            ["adb", "-s", self.serial, "shell", "-T", "-e", "none", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _facts(self) -> dict[str, str]:
        if self._answer is None:
            done = self.execute(["sh", "-c", ASK], ADB_SECONDS)
            lines = done.output.decode("utf-8", "replace").splitlines()
            pairs = (line.strip().partition(" ") for line in lines)
            self._answer = {key: value.strip() for key, _, value in pairs if value.strip()}
        return self._answer


def _collect(
    process: "subprocess.Popen[bytes]",
    seconds: float,
    interrupted: threading.Event,
    until: bytes | None = None,
) -> bytes:
    """The output of a process, to its end or to the line that holds `until`.

    Raises:
        RunnerError: It takes too long.
        InterruptedRunError: The event was set.
    """
    store = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - closed below
    done = threading.Event()

    def read() -> None:
        stream = process.stdout
        while stream is not None:
            line = stream.readline()
            if not line:
                break
            store.write(line)
            if until is not None and until in line:
                break
        done.set()

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + seconds
    while not done.wait(0.1):
        if interrupted.is_set():
            raise InterruptedRunError("interrupted")
        if time.monotonic() > deadline:
            raise RunnerError(f"no result within the time limit of {seconds:g} s")
    store.seek(0)
    with store:
        return store.read()


def _hang_up(process: "subprocess.Popen[bytes]") -> None:
    """Ends a shell's input, on which it cleans up, and waits for it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
