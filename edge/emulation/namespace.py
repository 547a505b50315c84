"""Runs a command in a private namespace, as user 1000 of an emulated userland.

    python namespace.py SPECIFICATION

The specification is a JSON file:

    root         the folder with the userland, which stays read-only
    mount_point  an empty folder; the userland appears there, in this namespace only
    mounts       pairs of a path in the userland and what is mounted there: a file or folder, or
                 {"tmpfs": bytes}
    interpreters lines for the kernel's binfmt_misc that register the emulators
    environment, command

This process waits for the command and all that it started. Whichever way it ends, by SIGKILL too,
the kernel ends everything in the namespace. Needs no root: an ordinary user's namespace knows only
that user, who is root while mounting and 1000 after. The exit code is UNAVAILABLE where the
kernel refuses a step, with the reason on standard error.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

UNAVAILABLE = 77
USER = 1000
# <sched.h>, <sys/mount.h>, <sys/prctl.h>
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(Exception):
    """The kernel refuses something that an emulated device needs."""


def _call(name: str, *arguments: Any, what: str) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        raise RefusedError(f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(
    source: str, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    number = ctypes.c_ulong(flags)
    _call("mount", *encoded, number, data.encode(), what=f"cannot mount {kind or source}")


def _become(user: int, flags: int) -> None:
    """Enters a new user namespace in which the present user has the number `user`."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER | flags, what="cannot make a user namespace")
    # Else the files below belong to root, which an ordinary user is not, and nobody could look
    # into the namespace from outside.
    _libc.prctl(PR_SET_DUMPABLE, 1)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{user} {gid} 1")
    except OSError as error:
        raise RefusedError(f"cannot map a user: {error.strerror}") from error


def _end_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() not in (parent, 0):  # 0: the parent lives in another namespace
        os._exit(1)


def _register(interpreters: list[str], folder: str) -> None:
    """Registers the emulators for programs of other processors (Linux 6.7 and later)."""
    _mount("binfmt_misc", folder, "binfmt_misc")
    for line in interpreters:
        try:
            Path(folder, "register").write_text(line)
        except OSError as error:
            raise RefusedError(f"cannot register an emulator: {error.strerror}") from error


def _mount_all(specification: dict[str, Any]) -> None:
    root, top = specification["root"], specification["mount_point"]
    _mount("none", "/", flags=MS_REC | MS_PRIVATE)
    _register(specification["interpreters"], top)
    _mount(root, top, flags=MS_BIND)
    # The kernel insists on the restrictions that the folder's file system already has.
    kept = os.statvfs(top).f_flag & ~MS_RDONLY
    _mount("none", top, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)
    _mount("tmpfs", f"{top}/dev", "tmpfs", data="mode=755")
    for name in DEVICES:
        Path(top, "dev", name).touch()
        _mount(f"/dev/{name}", f"{top}/dev/{name}", flags=MS_BIND)
    for name in ("pts", "shm"):
        Path(top, "dev", name).mkdir()
    _mount("devpts", f"{top}/dev/pts", "devpts", data="newinstance,ptmxmode=0666,mode=0620")
    Path(top, "dev", "ptmx").symlink_to("pts/ptmx")
    _mount("tmpfs", f"{top}/dev/shm", "tmpfs", data="mode=1777")
    _mount("proc", f"{top}/proc", "proc")
    for target, source in specification["mounts"]:
        if isinstance(source, dict):
            _mount("tmpfs", top + target, "tmpfs", data=f"size={source['tmpfs']},mode=1777")
        else:
            _mount(source, top + target, flags=MS_BIND)


def _run(specification: dict[str, Any]) -> NoReturn:
    """Becomes the command."""
    _become(USER, 0)
    os.chroot(specification["mount_point"])
    os.chdir("/")
    command = specification["command"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, specification["environment"])


def _init(specification: dict[str, Any]) -> int:
    """The namespace's first process: starts the command, waits until nothing is left.

    Returns:
        The command's exit code; 128 and its number where a signal ended it.
    """
    _mount_all(specification)
    command = os.fork()
    if command == 0:
        _guarded(lambda: _run(specification))
    code = 0
    while True:
        try:
            process, status = os.wait()
        except ChildProcessError:
            return code
        if process == command:
            code = os.waitstatus_to_exitcode(status)
            code = 128 - code if code < 0 else code


def _guarded(action: Any) -> NoReturn:
    """Ends the process with what `action` returns, and with a line where it fails."""
    try:
        code = action()
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        code = UNAVAILABLE
    except BaseException as error:  # a forked child must not return into its parent's code
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Makes the namespaces and stands for the command outside of them."""
    specification = json.loads(Path(sys.argv[1]).read_text())
    parent = os.getppid()
    _become(0, CLONE_NEWNS | CLONE_NEWPID)
    _end_with_parent(parent)
    here = os.getpid()
    init = os.fork()
    if init == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _end_with_parent(here)
        _guarded(lambda: _init(specification))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(init, signal.SIGKILL))
    code = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    try:
        main()
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNAVAILABLE)
