"""Fixtures and settings for all tests."""

import os
import signal

import hypothesis
import pytest

# A machine with other work may take a second for an example.
hypothesis.settings.register_profile("onebit", deadline=None, max_examples=40)
hypothesis.settings.load_profile("onebit")

# A job in the background of a script ignores Ctrl-C, and so would the processes that tests start
# and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# There are as many processes as processors already (`make test`): threads of TensorFlow and of
# NumPy beside them would only wait for each other, which takes a sixth more of the processors.
for _threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# Tables have the width that they need, whatever terminal the tests run in: pytest imports
# readline, which sets the width of its terminal for the processes that it starts.
os.environ.pop("COLUMNS", None)

pytest_plugins = ["tests.devices.fixtures", "tests.edge.report_rows"]


def pytest_addoption(parser):
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="write the golden files again from the code's output; look at the difference in git",
    )


BEGUN_FIRST = (
    "test_wheels",
    "devices/",
    "zoo/test_training",
    "zoo/test_distillation",
    "convert/",
    "zoo/",
)
"""The files that take longest or wait most: begun first, they end with the rest."""


def pytest_collection_modifyitems(items):
    """Orders the files, which pytest-xdist hands out one by one to its processes."""

    def rank(item):
        path = item.nodeid.removeprefix("tests/")
        return next((i for i, start in enumerate(BEGUN_FIRST) if path.startswith(start)), 99)

    items.sort(key=rank)


@pytest.fixture
def check_golden(request):
    """check_golden(path, text): the text is that of a committed file."""

    def check(path, text):
        if request.config.getoption("--regenerate-goldens"):
            path.write_text(text)
        assert path.exists(), f"{path.name} is missing: run pytest --regenerate-goldens"
        assert text == path.read_text()

    return check
