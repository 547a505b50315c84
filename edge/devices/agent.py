"""Works on a device for the harness: takes files, runs commands, gives files back, leaves nothing.

It is sent to the device's Python (3.8 or newer; nothing else is needed) as it is, and lives as long
as the connection: when its standard input ends, for whatever reason, or nothing comes for
`SILENCE_SECONDS`, it kills what it started and removes its folder. So neither a lost network nor a
harness that was killed leaves a process or a file behind.

Both directions carry frames: one line of JSON, then as many bytes as its `size` says. The harness
sends `{"op": ...}`:

    put    name, size, sha256                the bytes become a file in the folder
    run    argv, input, seconds, folder      runs a command there; the answer's bytes are its output
    get    name                              the answer's bytes are the file
    beat                                     no answer; says that the harness is still there

An answer has `error` when the operation failed. The first line sent is `MARK`, behind whatever the
device's login scripts print.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from importlib import metadata

MARK = "onebit-agent 1"
SILENCE_SECONDS = 300
GONE_SECONDS = 2
MAX_OUTPUT_BYTES = 1 << 26
MAX_ERROR_BYTES = 4000
ANDROID_FOLDER = "/data/local/tmp"
RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
    "tensorflow": "tensorflow",
    "larq-compute-engine": "larq_compute_engine",
}
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class HungUpError(Exception):
    """The harness is gone."""


class Input:
    """Standard input: unbuffered, so that `wait` knows what has come, with a limit of silence."""

    def __init__(self):
        self.pending = b""

    def fill(self, wake=None, seconds=SILENCE_SECONDS):
        """Waits for bytes, for `wake` to become readable, or for a time; whether bytes came."""
        ready, _, _ = select.select([0] if wake is None else [0, wake], [], [], seconds)
        if 0 not in ready:
            return False
        block = os.read(0, 1 << 16)
        if not block:
            raise HungUpError
        self.pending += block
        return True

    def line(self):
        """The next line."""
        while b"\n" not in self.pending:
            if not self.fill():
                raise HungUpError
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def blocks(self, size):
        """Yields the next `size` bytes in blocks."""
        while size:
            if not self.pending and not self.fill():
                raise HungUpError
            block, self.pending = self.pending[:size], self.pending[size:]
            size -= len(block)
            yield block


def send(answer, payload=b""):
    """Writes one frame to standard output."""
    frame = json.dumps(dict(answer, size=len(payload))).encode() + b"\n" + payload
    view = memoryview(frame)
    while view:
        view = view[os.write(1, view) :]


def version(distribution, module):
    """The installed version of a package, "unknown" if it does not say, None if it is absent."""
    try:
        if importlib.util.find_spec(module) is None:
            return None
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def libc():
    """The C library's name: `bionic`, `glibc` or what else the interpreter was linked with."""
    if hasattr(sys, "getandroidapilevel") or os.path.exists("/system/bin/linker"):
        return "bionic"
    return platform.libc_ver()[0] or "unknown"


def facts(folder):
    """Facts that the harness needs before it can run anything here."""
    runtimes = {name: version(name, module) for name, module in RUNTIMES.items()}
    return {
        "folder": folder,
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "libc": libc(),
        "libc_version": platform.libc_ver()[1] or None,
        "numpy": version("numpy", "numpy"),
        "runtimes": {name: found for name, found in runtimes.items() if found},
        "has_pip": importlib.util.find_spec("ensurepip") is not None,
        "free_bytes": shutil.disk_usage(folder).free,
        "home": os.path.expanduser("~"),
    }


def put(request, source, folder):
    """Writes a file; what does not fit on the disk is read to its end all the same."""
    path, failure = os.path.join(folder, os.path.basename(request["name"])), None
    part, digest = path + ".part", hashlib.sha256()
    blocks = source.blocks(request["size"])
    try:
        with open(part, "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
    except OSError as error:
        failure = error.strerror or str(error)
        for _ in blocks:
            pass
    if failure is None and digest.hexdigest() != request["sha256"]:
        failure = "it arrived changed"
    if failure is not None:
        with contextlib.suppress(OSError):
            os.remove(part)
        return {"error": failure}, b""
    os.chmod(part, 0o700)  # it may be a program; only this user gets into the folder
    os.replace(part, path)
    return {"path": path}, b""


def get(request, source, folder):
    """Reads a file of the folder."""
    try:
        with open(os.path.join(folder, os.path.basename(request["name"])), "rb") as file:
            return {}, file.read()
    except OSError as error:
        return {"error": error.strerror}, b""


def end_group(process):
    """Kills a command with all that it started, and waits until they are gone."""
    with contextlib.suppress(OSError):  # no such group any more
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    process.wait()


def run(request, source, folder):
    """Runs a command in a separate session until it ends, or time, output or harness run out.

    Nothing wakes up meanwhile but for what the command prints and the harness's beats, so that the
    measurement is not disturbed.
    """
    try:
        process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(os.environ, **request.get("environment", {})),
            start_new_session=True,
        )
    except OSError as error:
        return {"error": "{}: {}".format(request["argv"][0], error.strerror)}, b""
    output, errors, awake, wake = bytearray(), bytearray(), *os.pipe()

    def feed(stream):
        with contextlib.suppress(OSError):  # it ended without reading; its exit code says why
            stream.write(request.get("input", "").encode())
            stream.close()

    def collect(stream, store, limit, keep_end):
        for block in iter(lambda: os.read(stream.fileno(), 1 << 16), b""):
            store += block
            if len(store) > limit:
                if not keep_end:
                    os.write(wake, b"o")
                    return
                del store[:-limit]

    def watch():
        process.wait()
        os.write(wake, b"e")

    threads = [
        threading.Thread(target=collect, args=(process.stdout, output, MAX_OUTPUT_BYTES, False)),
        threading.Thread(target=collect, args=(process.stderr, errors, MAX_ERROR_BYTES, True)),
        threading.Thread(target=feed, args=(process.stdin,)),
        threading.Thread(target=watch),
    ]
    answer: dict = {}
    try:
        for thread in threads:
            thread.daemon = True
            thread.start()
        now = time.monotonic()
        deadline, heard = now + request["seconds"], now
        while True:
            now = time.monotonic()
            if now >= deadline:
                answer["timeout"] = True
                break
            if now >= heard + SILENCE_SECONDS:
                raise HungUpError
            if source.fill(awake, min(deadline, heard + SILENCE_SECONDS) - now):
                heard = time.monotonic()  # a beat; more does not come while a command runs
                source.pending = b"" if source.pending.endswith(b"\n") else source.pending
            if select.select([awake], [], [], 0)[0]:
                answer["too_much"] = os.read(awake, 1) == b"o"
                break
    finally:
        end_group(process)
    for thread in threads:  # what a process outside the group still holds open is not waited for
        thread.join(2)
    if not any(thread.is_alive() for thread in threads):  # none of them writes to it any more
        os.close(awake)
        os.close(wake)
    answer["code"] = process.returncode
    answer["errors"] = errors.decode("utf-8", "replace")
    return answer, bytes(output[:MAX_OUTPUT_BYTES])


OPERATIONS = {"put": put, "get": get, "run": run}


def hang_up(*_):
    """Signal handler: ends the agent as the end of its input does, once."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise HungUpError


def main():
    """Serves until the harness hangs up; then nothing is left."""
    for number in SIGNALS:
        signal.signal(number, hang_up)
    os.umask(0o077)
    has_folder = "TMPDIR" in os.environ or os.access("/tmp", os.W_OK)  # noqa: S108 - a question
    parent = None if has_folder or not os.access(ANDROID_FOLDER, os.W_OK) else ANDROID_FOLDER
    folder = None
    try:
        os.write(1, (MARK + "\n").encode())
        try:
            folder = tempfile.mkdtemp(prefix="onebit-", dir=parent)
        except OSError as error:
            send({"error": "no temporary folder: " + str(error)})
            return
        source = Input()
        send(facts(folder))
        while True:
            request = json.loads(source.line().decode())
            if request["op"] != "beat":
                send(*OPERATIONS[request["op"]](request, source, folder))
    except (HungUpError, BrokenPipeError):
        pass
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
