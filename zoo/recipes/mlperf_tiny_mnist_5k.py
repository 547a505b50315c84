"""MLPerf Tiny's ResNet-8 and MobileNetV1, binary and float, on 5,000 real MNIST digits.

MLPerf Tiny Benchmark, arXiv 2106.07597, section 4, which uses CIFAR-10 for ResNet-8 and photographs
of 96×96, with and without persons, for MobileNetV1.

Differs from the benchmark's programs: other data, on whose 28×28 pixels MobileNet's last blocks see
a single place; 30 epochs with batches of 50 instead of 500 (MobileNet: 50) with batches of 32; a
rate that falls further; neither weight decay nor augmentation.

Nothing was tuned: rates and epochs are first guesses.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._mlperf_tiny import mobilenet, resnet8


@register_recipe
def binary_resnet8_mnist_5k() -> Recipe:
    """Binary ResNet-8 on mnist_5k.

    Command: onebit zoo train binary_resnet8_mnist_5k -o runs/binary_resnet8
    Duration: about 2 minutes on two x86-64 cores (estimated).
    Accuracy: 94.0 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _resnet8("binary_resnet8", learning_rate=3e-3)


@register_recipe
def float_resnet8_mnist_5k() -> Recipe:
    """The float baseline of ResNet-8 on mnist_5k.

    Command: onebit zoo train float_resnet8_mnist_5k -o runs/float_resnet8
    Duration: about 2 minutes on two x86-64 cores (estimated).
    Accuracy: 97.4 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _resnet8("float_resnet8", learning_rate=1e-3)


@register_recipe
def binary_mobilenet_mnist_5k() -> Recipe:
    """MobileNetV1 with binary pointwise convolutions on mnist_5k.

    Command: onebit zoo train binary_mobilenet_mnist_5k -o runs/binary_mobilenet
    Duration: about 3 minutes on two x86-64 cores (estimated).
    Accuracy: not measured.
    """
    return _mobilenet("binary_mobilenet", learning_rate=3e-3)


@register_recipe
def float_mobilenet_mnist_5k() -> Recipe:
    """The float baseline of MobileNetV1 on mnist_5k.

    Command: onebit zoo train float_mobilenet_mnist_5k -o runs/float_mobilenet
    Duration: about 3 minutes on two x86-64 cores (estimated).
    Accuracy: not measured.
    """
    return _mobilenet("float_mobilenet", learning_rate=1e-3)


_resnet8 = functools.partial(resnet8, dataset="mnist_5k", epochs=30, batch_size=50, decay=1e-2)
_mobilenet = functools.partial(mobilenet, dataset="mnist_5k", epochs=30, batch_size=50)
