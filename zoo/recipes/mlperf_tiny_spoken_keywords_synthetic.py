"""MLPerf Tiny's DS-CNN, binary and float, on keywords spoken by a synthesiser.

MLPerf Tiny Benchmark, arXiv 2106.07597, section 4.2, which uses Speech Commands V2: another
data set than this one (`zoo.datasets.spoken_keywords`), whose accuracies do not compare.

Differs from the benchmark's program: other data, whose noise and shifts are the same in each epoch;
20 epochs with batches of 50 instead of 36 with batches of 100; an exponential decay of Adam's rate
instead of steps; batch normalisation's moments are estimated again before a test
(`zoo.training.batch_norm`), in place of moving averages.

Nothing was tuned: rates and epochs are first guesses.
"""

import functools

from zoo.recipes import Recipe, register_recipe
from zoo.recipes._mlperf_tiny import ds_cnn


@register_recipe
def binary_ds_cnn_spoken_keywords_synthetic() -> Recipe:
    """Binary DS-CNN on synthetic keywords.

    Command: onebit zoo train binary_ds_cnn_spoken_keywords_synthetic -o runs/binary_ds_cnn
    Duration: 4 minutes of one x86-64 core measured.
    Accuracy: 70.8 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("binary_ds_cnn", learning_rate=3e-3)


@register_recipe
def float_ds_cnn_spoken_keywords_synthetic() -> Recipe:
    """The float baseline of DS-CNN on synthetic keywords.

    Command: onebit zoo train float_ds_cnn_spoken_keywords_synthetic -o runs/float_ds_cnn
    Duration: 4 minutes of one x86-64 core measured.
    Accuracy: 70.6 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return _recipe("float_ds_cnn", learning_rate=1e-3)


_recipe = functools.partial(ds_cnn, dataset="spoken_keywords_synthetic", epochs=20, batch_size=50)
