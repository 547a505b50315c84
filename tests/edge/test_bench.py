"""Cells on this machine, with runners that break in every way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import edge
import numpy as np
import pytest
from conftest_edge import QUICK
from edge.bench import compare_outputs, plan_cells, run_cells
from edge.devices import RunnerError
from edge.devices.local import LocalDevice
from onebit.errors import UsageError
