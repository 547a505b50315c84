"""A device that is reached by the system's ssh: the user's config, keys, agent and jump hosts work.

One connection carries everything. Files travel through it too, in the agent's frames, so that the
device needs no sftp server and every file is checked by its hash.
"""

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from edge.devices.channel import BOOTSTRAP
from edge.devices.remote import AgentDevice, runtime_packages
from onebit.errors import UsageError

VENV = "$HOME/.cache/onebit/venv"
"""Where `--install` puts the runtime on a device; the shell there expands $HOME."""

OPTIONS = (
    "BatchMode=yes",  # a question nobody answers would hang; keys and agents need none
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # a master that outlives us would hold our pipes; an existing one is used
    "RemoteCommand=none",
    "RequestTTY=no",
    "ClearAllForwardings=yes",
    "LogLevel=INFO",  # tells why a connection ended, such as a device that is silent
)

MENDS = {
    "Host key verification failed": "check the key, and accept it by connecting once: {command}",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "if the device was set up anew, forget its old key: "
    "ssh-keygen -R {host}",
    "Permission denied": "install your key there: ssh-copy-id {target}",
    "Could not resolve hostname": "check the name, or give its address",
    "Connection refused": "is sshd running there, on this port?",
    "Connection timed out": "is the device on, and in this network?",
    "No route to host": "is the device on, and in this network?",
}


@dataclass(frozen=True)
class SshTarget:
    """What `ssh://user@host:port` names; what is absent comes from the user's ssh config."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, address: str) -> "SshTarget":
        """The target of an address.

        Raises:
            UsageError: It has no host, or a part that ssh would take for an option or a command.
        """
        match = re.fullmatch(
            r"ssh://(?:(?P<user>[^@/]*)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:/\[\]]*)"
            r"(?::(?P<port>[0-9]+))?/?",
            address,
        )
        if match is None:
            raise UsageError(f"{address!r} is no address; write ssh://user@host or with :port")
        user, host = match["user"], match["host"].strip("[]")
        for part, value in (("host", host), ("user", user)):
            if value is not None and not re.fullmatch(r"[\w.%:][\w.%:+-]*", value):
                raise UsageError(
                    f"{address!r} has {value!r} as its {part}: it may hold letters, digits and "
                    "._%+- and must not start with a dash"
                )
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"{address!r} has the port {port}; ports are 1 to 65535")
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
            if not re.match(r"[A-Za-z]+[ =]", option):
                raise UsageError(f"{option!r} is no ssh option; write Name=value")
        self._options = tuple(options)
        self._python = python

    def ssh_command(self) -> list[str]:
        """Ssh with its options and the target; the remote command follows.

        Raises:
            RunnerError: There is no ssh here.
        """
        options = [part for option in (*self._options, *OPTIONS) for part in ("-o", option)]
        return [shutil.which("ssh") or "ssh", "-T", *options, *self.target.arguments]

    def use_installed(self) -> None:
        """Takes the Python of `--install` from the next connection on."""
        self._python = None

    def agent_command(self) -> list[str]:
        """Ssh with a command that every login shell understands."""
        return [*self.ssh_command(), shell_command(python_script(self._python, VENV))]

    def mend(self) -> str:
        """The command that makes the environment which the next run finds."""
        packages = runtime_packages(self.facts["machine"], self.facts["bits"])
        venv = VENV.replace("$HOME", "~")
        commands = f"python3 -m venv {venv} && {venv}/bin/pip install " + " ".join(
            f'"{package}"' if "<" in package else package for package in packages
        )
        return f"let --install do it, or run: ssh {self.target} '{commands}'"

    def explain(self, reason: str) -> str:
        """The reason with its mend."""
        said = f"ssh {self.target}"
        for sign, mend in MENDS.items():
            if sign in reason:
                mend = mend.format(command=said, host=self.target.host, target=self.target)
                return f"cannot reach {self.name}: {reason}; {mend}"
        if NO_PYTHON in reason:
            asked = self._python or "python3"
            return (
                f"{self.name} has no {asked}; install it, on Debian and Raspberry Pi OS with: "
                f"{said} sudo apt install python3 python3-venv"
            )
        return f"cannot reach {self.name}: {reason}"


NO_PYTHON = "onebit: no python"


def python_script(python: str | None, venv: str) -> str:
    """A POSIX shell script that runs the agent's bootstrap with the device's Python.

    Args:
        python: The Python; when None the one of `--install` if it is there, else `python3`.
        venv: The folder of `--install`'s environment, for the shell to expand.
    """
    find = (
        f'p="{venv}/bin/python"; [ -x "$p" ] || p=python3'
        if python is None
        else (f"p={shlex.quote(python)}")
    )
    return (
        f'{find}; command -v -- "$p" >/dev/null 2>&1 || {{ echo "{NO_PYTHON}" >&2; exit 127; }}; '
        f'exec "$p" -c {shlex.quote(BOOTSTRAP)}'
    )


def shell_command(script: str) -> str:
    """A script as one command line that bash, fish and csh alike hand to `sh` unchanged."""
    return f"exec sh -c {shlex.quote(script)}"
