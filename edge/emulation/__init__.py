"""Emulated boards: ARM Linux in a namespace of this machine, behind a genuine sshd or adbd.

For the tests, and for whoever wants to try the commands for devices without one
(`onebit edge devices --emulate`). Their times say nothing about a real device, and rows say so.
"""
