"""Emulated boards: a genuine arm64 sshd and a genuine adbd, each in a Debian userland of its own.

`userland` unpacks Debian packages and wheels once into a cached folder, `namespace` runs a command
in it under qemu-user, `sshd` and `adbd` serve it on free ports of 127.0.0.1, `fixtures` hands these
to tests. Nothing outlives the test run. Emulated time and memory say nothing about a real board.
"""
