"""A board with a genuine arm64 sshd, and the client's configuration that reaches it."""

import shutil
import subprocess
from pathlib import Path

from tests.devices.board import Board
from tests.devices.ports import HOST, free_port, listens

CPU = "cortex-a72"
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
# ssh finds its configuration in the home of the user database, whatever HOME says. A test that
# shall go through the user's own ssh puts these in front of the PATH.
WRAPPER = '#!/bin/sh\nexec {program} -F {config} "$@"\n'


class SshBoard(Board):
    """A board that `ssh -F <config> <name>` reaches.

    Attributes:
        name: The host's name in the client's configuration.
        config: The client's configuration.
        bin: A folder with `ssh`, `scp` and `sftp` that use the configuration.
    """

    def __init__(self, root: Path, name: str = "pi", **options) -> None:
        super().__init__(root, **options)
        self.name = name
        self.client = self.folder / "client"
        self.config = self.client / "config"
        self.bin = self.client / "bin"
        self.bin.mkdir(parents=True)
        for path in (self.client / "user_key", self.folder / "run/host_key"):
            make_key(path)
        keys = self.folder / "home/pi/.ssh"
        keys.mkdir(mode=0o700)
        shutil.copy(self.client / "user_key.pub", keys / "authorized_keys")
        for program in ("ssh", "scp", "sftp"):
            wrapper = self.bin / program
            found = shutil.which(program)
            wrapper.write_text(WRAPPER.format(program=found, config=self.config))
            wrapper.chmod(0o755)

    def start_sshd(self) -> "SshBoard":
        """Starts sshd on a free port, which nobody but this machine reaches."""
        self.port = free_port()
        server = SERVER.format(port=self.port, cpu=CPU)
        (self.folder / "run/sshd_config").write_text(server)
        self.config.write_text(CLIENT.format(name=self.name, port=self.port, folder=self.client))
        self.trust(self.folder / "run/host_key.pub")
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/run/sshd_config"]
        self.start(command, {"QEMU_CPU": CPU}, lambda: listens(self.port))
        return self

    def trust(self, public_key: Path) -> None:
        """Makes `public_key` the one that the client expects of this board."""
        kind, key, *_ = public_key.read_text().split()
        (self.client / "known_hosts").write_text(f"[{HOST}]:{self.port} {kind} {key}\n")

    def ssh(self, command: str, **options) -> subprocess.CompletedProcess:
        """Runs a command of the board's shell through the genuine client."""
        options = {"capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run([str(self.bin / "ssh"), self.name, command], **options)


def make_key(path: Path) -> None:
    """Writes a new key pair to `path` and `path`.pub."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
