"""`cut.py BYTES COMMAND`: runs a command and hangs up on it after that much of its output."""

import os
import subprocess
import sys
import threading

child = subprocess.Popen(
    ["sh", "-c", sys.argv[2]],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    bufsize=0,
    start_new_session=True,  # as sshd's, it does not die with the client
)


def feed():
    while block := os.read(0, 1 << 16):
        child.stdin.write(block)


threading.Thread(target=feed, daemon=True).start()
left = int(sys.argv[1])
while left > 0 and (block := os.read(child.stdout.fileno(), left)):
    left -= os.write(1, block)
child.stdout.close()
child.stdin.close()
os.write(2, b"Connection reset by peer\n")
os._exit(255)
