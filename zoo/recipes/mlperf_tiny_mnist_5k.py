"""MLPerf Tiny's ResNet-8, binary and float, on 5,000 real MNIST digits.

MLPerf Tiny Benchmark, arXiv 2106.07597, section 4.3, which uses CIFAR-10.

Differs from the benchmark's program: other data; 30 epochs with batches of 50 instead of 500 with
batches of 32; a rate that falls further; neither weight decay nor augmentation.

Nothing was tuned: rates and epochs are first guesses.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._mlperf_tiny import resnet8


@register_recipe
def binary_resnet8_mnist_5k() -> Recipe:
    """Binary ResNet-8 on mnist_5k.

    Command: onebit zoo train binary_resnet8_mnist_5k -o runs/binary_resnet8
    Duration: about 2 minutes on two x86-64 cores (estimated).
    Accuracy: 94.0 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("binary_resnet8", learning_rate=3e-3)


@register_recipe
def float_resnet8_mnist_5k() -> Recipe:
    """The float baseline of ResNet-8 on mnist_5k.

    Command: onebit zoo train float_resnet8_mnist_5k -o runs/float_resnet8
    Duration: about 2 minutes on two x86-64 cores (estimated).
    Accuracy: 97.4 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("float_resnet8", learning_rate=1e-3)


_recipe = functools.partial(resnet8, dataset="mnist_5k", epochs=30, batch_size=50, decay=1e-2)
