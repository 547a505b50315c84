"""MLPerf Tiny's ResNet-8, binary and float, on CIFAR-10, as the benchmark's program trains it.

MLPerf Tiny Benchmark, arXiv 2106.07597, section 4.3; the schedule is that of its program,
https://github.com/mlcommons/tiny (benchmark/training/image_classification/train.py).

Differs from the program: neither its weight decay of 1e-4 nor its augmentation (rotations, shifts,
flips); the learning rate falls by step instead of by epoch.

Not trained here: the data cannot be had offline.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._mlperf_tiny import resnet8


@register_recipe
def binary_resnet8_cifar10() -> Recipe:
    """Binary ResNet-8 on CIFAR-10.

    Command: onebit zoo train binary_resnet8_cifar10 -o runs/binary_resnet8_cifar10
    Duration: about 10 hours on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured.
    """
    return _recipe("binary_resnet8")


@register_recipe
def float_resnet8_cifar10() -> Recipe:
    """The benchmark's reference on CIFAR-10.

    Command: onebit zoo train float_resnet8_cifar10 -o runs/float_resnet8_cifar10
    Duration: about 8 hours on two x86-64 cores (estimated).
    Accuracy: 85 % is the benchmark's target; not measured here.
    """
    return _recipe("float_resnet8")


_recipe = functools.partial(
    resnet8,
    dataset="cifar10",
    epochs=500,
    batch_size=32,
    learning_rate=1e-3,
    decay=0.99**500,
)
