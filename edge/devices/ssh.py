"""A device that is reached by the system's ssh: the user's config, keys, agent and jump hosts work.

One connection carries everything. Files travel through it too, in the agent's frames, so that the
device needs no sftp server and every file is checked by its hash.
"""

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from edge.devices import NO_PYTHON, RunnerError
from edge.devices.channel import ConnectionLostError
from edge.devices.delegate_builds import wheel_for
from edge.devices.install import DelegateWheel, Download, download_wheels, make_environment
from edge.devices.remote import AgentDevice, runtime_packages
from edge.devices.shell import python_script, shell_command
from onebit.errors import UsageError
from onebit.secrets import holds_password

VENV = "$HOME/.cache/onebit/venv"
"""Where `--install` puts the runtime on a device; the shell there expands $HOME."""

OPTIONS = (
    "BatchMode=yes",  # a question without an answer would hang; keys and agents need none
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # a master that outlives us would hold our pipes; an existing one is used
    "RemoteCommand=none",
    "RequestTTY=no",
    "ClearAllForwardings=yes",
    "LogLevel=INFO",  # says why a connection ended, for example that the device is silent
)

HINTS = {
    "Host key verification failed": "check the key, and accept it by connecting once: {command}",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "if the device was set up again, forget its old key: "
    "ssh-keygen -R {host}",
    "Permission denied": "install your key there: ssh-copy-id {target}",
    "Could not resolve hostname": "check the name, or give its address",
    "Connection refused": "is sshd running there, on this port?",
    "Connection timed out": "is the device on, and in this network?",
    "No route to host": "is the device on, and in this network?",
}


@dataclass(frozen=True)
class SshTarget:
    """The parts of `ssh://user@host:port`; absent ones come from the user's ssh config."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, address: str) -> "SshTarget":
        """The target of an address.

        Raises:
            UsageError: It has no host, a password, or a part that ssh would take for an option or a
                command.
        """
        user_information = address.removeprefix("ssh://").rpartition("@")[0]
        if re.search(r":|%3a", user_information, re.IGNORECASE):
            raise UsageError(
                "the address of a device behind ssh holds a password",
                hint="write ssh://user@host, and install your key there with ssh-copy-id",
            )
        match = re.fullmatch(
            r"ssh://(?:(?P<user>[^@/]*)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:/\[\]]*)"
            r"(?::(?P<port>[0-9]+))?/?",
            address,
        )
        if match is None:
            raise UsageError(
                f"{address!r} is not an address", hint="write ssh://user@host or ssh://user@host:22"
            )
        user, host = match["user"], match["host"].strip("[]")
        if not host:
            raise UsageError(f"{address!r} names no host", hint="write ssh://user@host")
        for part, value in (("host", host), ("user", user)):
            if value is not None and not re.fullmatch(r"[\w.%:][\w.%:+-]*", value):
                raise UsageError(
                    f"{address!r} has {value!r} as its {part}",
                    hint="letters, digits and ._%+- are allowed, and no dash at the beginning",
                )
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"{address!r} has the port {port}", hint="ports are 1 to 65535")
        return cls(host, user, port)

    def __str__(self) -> str:
        """The target as a user types it after `ssh`."""
        port = f"-p {self.port} " if self.port else ""
        return port + (f"{self.user}@" if self.user else "") + self.host

    @property
    def arguments(self) -> list[str]:
        """The target as ssh's arguments."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]


class SshDevice(AgentDevice):
    """A machine behind ssh. `python` is its Python; otherwise `--install`'s, else `python3`."""

    kind = "ssh"

    def __init__(
        self,
        address: str,
        name: str | None = None,
        python: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Checks the address; connects only when it is entered.

        Args:
            address: Such as `ssh://pi@raspberrypi:22`.
            name: What rows call the device; its host when None.
            python: A command on the device.
            options: Settings as in ssh's config, such as `ProxyJump=gate`, before our own.

        Raises:
            UsageError: The address or an option is malformed.
        """
        self.target = SshTarget.parse(address)
        super().__init__(name or self.target.host)
        for option in options:
            if holds_password(option):
                raise UsageError(
                    f"the ssh options of {self.name} hold a password", hint="use a key instead"
                )
            if not re.match(r"[A-Za-z]+[ =]", option):
                raise UsageError(f"{option!r} is not an ssh option", hint="write Name=value")
        self._options = tuple(options)
        self._python = python

    def ssh_command(self) -> list[str]:
        """Ssh with its options and the target; the remote command follows.

        Raises:
            RunnerError: There is no ssh here.
        """
        options = [part for option in (*self._options, *OPTIONS) for part in ("-o", option)]
        return [shutil.which("ssh") or "ssh", "-T", *options, *self.target.arguments]

    def install(
        self, download: Download = download_wheels, delegate_wheel: DelegateWheel = wheel_for
    ) -> None:
        """Makes an environment in `VENV` if the runner lacks something, and uses its Python.

        Args:
            download: Downloads wheels here.
            delegate_wheel: Writes the delegate's wheel into a folder.

        Raises:
            RunnerError: A package cannot be installed.
        """
        try:
            self.require()
            return
        except RunnerError:
            venv = VENV.replace("$HOME", self.facts["home"])
        hint = f"on Debian and Raspberry Pi OS run: ssh {self.target} sudo apt install python3-venv"
        make_environment(self, venv, hint, download, delegate_wheel)
        self._python = None
        self.reconnect()
        self.require()

    def agent_command(self) -> list[str]:
        """Ssh with a command that every login shell understands."""
        return [*self.ssh_command(), shell_command(python_script(self._python, VENV))]

    def install_hint(self) -> str:
        """The command that makes the environment which the next run finds."""
        packages = runtime_packages(self.facts["machine"], self.facts["bits"])
        venv = VENV.replace("$HOME", "~")
        commands = f"python3 -m venv {venv} && {venv}/bin/pip install " + " ".join(
            f'"{package}"' if "<" in package else package for package in packages
        )
        return f"use `edge bench --install`, or run: {self._typed()} '{commands}'"

    def _typed(self) -> str:
        """The beginning of a command that the user types."""
        options = [f"-o {shlex.quote(option)}" for option in self._options]
        return " ".join(["ssh", *options, str(self.target)])

    def explain(self, error: RunnerError) -> RunnerError:
        """The reason with a hint: ssh's messages have no codes, so its last line is looked at."""
        command = self._typed()
        if error.reason == NO_PYTHON:
            return RunnerError(
                f"{self.name} has no {self._python or 'python3'}",
                hint=f"install it, on Debian and Raspberry Pi OS with: {command} sudo apt install "
                "python3 python3-venv",
                reason=NO_PYTHON,
            )
        words = error.words if isinstance(error, ConnectionLostError) else error.message
        hints = (
            hint.format(command=command, host=self.target.host, target=self.target)
            for sign, hint in HINTS.items()
            if sign in words
        )
        return type(error)(f"cannot reach {self.name}: {words}", hint=next(hints, None))
