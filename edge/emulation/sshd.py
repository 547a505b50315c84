"""A board with a genuine arm64 sshd, and the client's configuration that reaches it."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge.emulation.board import Board
from edge.emulation.ports import HOST, free_port, listens
from edge.emulation.userland import UnavailableError

CPUS = {"aarch64": "cortex-a72", "armv7": "cortex-a7"}
SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /run/host_key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers pi
UseDNS no
SetEnv QEMU_CPU={cpu}
KexAlgorithms curve25519-sha256
Subsystem sftp /usr/lib/openssh/sftp-server
"""
CLIENT = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User pi
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
"""


class SshBoard(Board):
    """A board that `ssh -F <config> <name>` reaches.

    Attributes:
        name: The host's name in the client's configuration.
        client: The folder with the client's keys, and those that it knows.
        config: The client's configuration.
    """

    def __init__(
        self,
        root: Path,
        name: str = "pi",
        cpu: str = CPUS["aarch64"],
        client: Path | None = None,
        **options: Any,
    ) -> None:
        """Makes the board's files.

        Args:
            root: The userland.
            name: The host's name in the client's configuration.
            cpu: What the emulator emulates.
            client: A folder of keys that outlive the board; new ones with the board when absent.
            options: As `Board` takes them.

        Raises:
            UnavailableError: There is no ssh-keygen.
        """
        if shutil.which("ssh-keygen") is None:
            raise UnavailableError(
                "ssh-keygen is missing", hint="sudo apt-get install openssh-client"
            )
        super().__init__(root, **options)
        self.name, self._cpu = name, cpu
        self.client = client or self.folder / "client"
        self.config = self.client / "config"
        self.client.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key in ("user_key", "host_key"):
            if not (self.client / key).exists():
                make_key(self.client / key)
        for key in ("host_key", "host_key.pub"):
            shutil.copy(self.client / key, self.folder / "run" / key)
        keys = self.folder / "home/pi/.ssh"
        keys.mkdir(mode=0o700)
        shutil.copy(self.client / "user_key.pub", keys / "authorized_keys")

    def start_sshd(self, port: int | None = None) -> "SshBoard":
        """Starts sshd on a port, a free one when absent, which nobody but this machine reaches."""
        self.port = port or free_port()
        server = SERVER.format(port=self.port, cpu=self._cpu)
        (self.folder / "run/sshd_config").write_text(server)
        self.config.write_text(CLIENT.format(name=self.name, port=self.port, folder=self.client))
        self.trust(self.folder / "run/host_key.pub")
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/run/sshd_config"]
        self.start(command, {"QEMU_CPU": self._cpu}, lambda: listens(self.port))
        return self

    def trust(self, public_key: Path) -> None:
        """Makes `public_key` the one that the client expects of this board."""
        kind, key, *_ = public_key.read_text().split()
        (self.client / "known_hosts").write_text(f"[{HOST}]:{self.port} {kind} {key}\n")

    def ssh(self, command: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Runs a command of the board's shell through the genuine client."""
        options = {"capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run(["ssh", "-F", str(self.config), self.name, command], **options)


def write_client(folder: Path, boards: Iterable[SshBoard]) -> Path:
    """Makes a folder with an `ssh` that knows the boards by their names; returns the folder.

    ssh finds a user's configuration in the home of the user database, whatever HOME says, so what
    shall go through that configuration gets this folder in front of its PATH.
    """
    folder.mkdir(parents=True)
    config = folder / "config"
    config.write_text("".join(f"Include {board.config}\n" for board in boards))
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    program.chmod(0o755)
    return folder


def make_key(path: Path) -> None:
    """Writes a new key pair to `path` and `path`.pub."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
