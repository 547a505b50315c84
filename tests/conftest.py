"""What all tests share."""

import signal

# A job in the background of a script ignores Ctrl-C, and so would the processes that tests start
# and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.devices.fixtures"]
