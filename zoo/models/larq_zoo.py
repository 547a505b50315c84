"""The networks of larq-zoo: one row each in `NETWORKS`.

QuickNet: Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural
Networks, arXiv 2011.09398: a shortcut around each binary convolution, the order convolution, ReLU,
batch norm, padding with +1, and anti-aliased pooling between sections.
BinaryDenseNet, BinaryResNetE: Back to Simplicity: How to Train Accurate BNNs from Scratch?, arXiv
1906.08637: every binary convolution adds channels to those that it read, or has a shortcut.
MeliusNet: Can Binary Neural Networks Achieve MobileNet-level Accuracy?, arXiv 2001.05936: dense
blocks add 64 channels, improvement blocks correct them.
DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients, arXiv
1606.06160: AlexNet with binary weights, scaled per layer, and activations of 2 bits.
Real-to-Binary: Training Binary Neural Networks with Real-to-Binary Convolutions, arXiv 2003.11535:
four networks of one shape, each trained with the one before as its teacher, from a float ResNet-18
to binary weights and activations; scales from a small gate follow each convolution.

Differs from larq-zoo: logits instead of probabilities; no Lambda layers; XNOR-Net's scaled sign has
the paper's gradient; DoReFa-Net has ReLU up to 1 in place of the same clipping.
"""

from zoo.models import Paper
from zoo.models._larq_zoo import LarqNetwork, Option, register_larq_network
from zoo.models.bi_real_net import PAPER as BI_REAL_NET
from zoo.models.binary_net_mlp import PAPER as BINARY_NET
from zoo.models.xnor_net import PAPER as XNOR_NET

QUICKNET = Paper(
    "Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural Networks",
    "2011.09398",
)
BACK_TO_SIMPLICITY = Paper(
    "Back to Simplicity: How to Train Accurate BNNs from Scratch?", "1906.08637"
)
MELIUSNET = Paper(
    "MeliusNet: Can Binary Neural Networks Achieve MobileNet-level Accuracy?", "2001.05936"
)
DOREFA_NET = Paper(
    "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
    "1606.06160",
)
REAL_TO_BINARY = Paper(
    "Training Binary Neural Networks with Real-to-Binary Convolutions", "2003.11535"
)

BINARY = "binary weights and activations"


def _sections(blocks: tuple[int, ...], widths: tuple[int, ...]) -> tuple[Option, ...]:
    return (
        Option("blocks", "section_blocks", blocks, "Binary convolutions of each section."),
        Option("widths", "section_filters", widths, "Their filters; the first a multiple of 4."),
    )


GROWTH = (Option("growth", "growth_rate", 64, "Channels that each binary convolution adds."),)

MELIUSNETS = (
    (29, (4, 6, 8, 6), (128, 192, 256)),
    (42, (5, 8, 14, 10), (160, 256, 416)),
    (59, (6, 12, 24, 12), (192, 320, 544)),
)
"""Layers, blocks of each section, widths between sections; larq-zoo has the one of 22 layers only.

From the authors' program, https://github.com/hpi-xnor/BMXNet-v2 (`meliusnet_spec`)."""

# fmt: off
NETWORKS = [
    LarqNetwork(
        "quicknet_small", "sota.quicknet.QuickNetSmallFactory", "quicknet",
        "QuickNet", BINARY, QUICKNET,
        "QuickNet with half the filters in its first two sections.",
        _sections((4, 4, 4, 4), (32, 64, 256, 512)),
    ),
    LarqNetwork(
        "quicknet", "sota.quicknet.QuickNetFactory", "quicknet",
        "QuickNet", BINARY, QUICKNET,
        "Larq's fast network of 16 binary 3×3 convolutions.",
        _sections((4, 4, 4, 4), (64, 128, 256, 512)),
    ),
    LarqNetwork(
        "quicknet_large", "sota.quicknet.QuickNetLargeFactory", "quicknet",
        "QuickNet", BINARY, QUICKNET,
        "QuickNet with 32 binary convolutions.",
        _sections((6, 8, 12, 6), (64, 128, 256, 512)),
    ),
    LarqNetwork(
        "binary_densenet28", "literature.densenet.BinaryDenseNet28Factory", "binary_densenet",
        "BinaryDenseNet", BINARY, BACK_TO_SIMPLICITY,
        "BinaryDenseNet with 23 binary convolutions.", GROWTH,
    ),
    LarqNetwork(
        "binary_densenet37", "literature.densenet.BinaryDenseNet37Factory", "binary_densenet",
        "BinaryDenseNet", BINARY, BACK_TO_SIMPLICITY,
        "BinaryDenseNet with 32 binary convolutions.", GROWTH,
    ),
    LarqNetwork(
        "binary_densenet37_dilated", "literature.densenet.BinaryDenseNet37DilatedFactory",
        "binary_densenet", "BinaryDenseNet", BINARY, BACK_TO_SIMPLICITY,
        "BinaryDenseNet37 whose last two blocks dilate instead of shrinking the image.", GROWTH,
    ),
    LarqNetwork(
        "binary_densenet45", "literature.densenet.BinaryDenseNet45Factory", "binary_densenet",
        "BinaryDenseNet", BINARY, BACK_TO_SIMPLICITY,
        "BinaryDenseNet with 40 binary convolutions.", GROWTH,
    ),
    LarqNetwork(
        "binary_resnet_e18", "literature.resnet_e.BinaryResNetE18Factory", "resnet_e",
        "BinaryResNetE", BINARY, BACK_TO_SIMPLICITY,
        "ResNetE-18: ResNet-18 with extra shortcuts, binary in its 3×3 convolutions.",
    ),
    LarqNetwork(
        "meliusnet22", "literature.meliusnet.MeliusNet22Factory", "meliusnet22",
        "MeliusNet", BINARY, MELIUSNET,
        "MeliusNet with 17 dense and 17 improvement blocks.",
    ),
    *(
        LarqNetwork(
            f"meliusnet{layers}", "literature.meliusnet.MeliusNet22Factory", None,
            "MeliusNet", BINARY, MELIUSNET,
            f"MeliusNet with {sum(blocks)} dense and {sum(blocks)} improvement blocks.",
            depths={"num_blocks": blocks, "transition_features": (*widths, None)},
        )
        for layers, blocks, widths in MELIUSNETS
    ),
    LarqNetwork(
        "dorefanet", "literature.dorefanet.DoReFaNetFactory", "dorefanet",
        "DoReFa-Net", "binary weights, 2-bit activations", DOREFA_NET,
        "AlexNet with binary weights and 2-bit activations.",
    ),
    LarqNetwork(
        "larq_bi_real_net", "literature.birealnet.BiRealNetFactory", "birealnet",
        "Bi-Real Net", BINARY, BI_REAL_NET,
        "Larq's Bi-Real Net 18; `bi_real_net18` with another batch norm and initialisation.",
    ),
    LarqNetwork(
        "larq_xnor_net", "literature.xnornet.XNORNetFactory", "xnornet",
        "XNOR-Net", BINARY, XNOR_NET,
        "Larq's XNOR-Net; `xnor_net_alexnet` with the pooling after a padded first convolution.",
    ),
    LarqNetwork(
        "larq_binary_alexnet", "literature.binary_alex_net.BinaryAlexNetFactory", "binary_alexnet",
        "BNN", BINARY, BINARY_NET,
        "Larq's BinaryAlexNet; `binary_alexnet` with another initialisation.",
    ),
    LarqNetwork(
        "real_to_binary_net", "literature.real_to_bin_nets.RealToBinNetBNNFactory", "r2b",
        "Real-to-Binary", BINARY, REAL_TO_BINARY,
        "Real-to-Binary: scales that depend on the data follow its 16 binary convolutions.",
    ),
    LarqNetwork(
        "real_to_binary_net_ban", "literature.real_to_bin_nets.RealToBinNetBANFactory", None,
        "Real-to-Binary", "binary activations", REAL_TO_BINARY,
        "The network of the third training: binary activations, real weights.",
    ),
    LarqNetwork(
        "real_to_binary_net_fp", "literature.real_to_bin_nets.RealToBinNetFPFactory", None,
        "Real-to-Binary", "float", None,
        "The network of the second training: tanh in place of the signs, real weights.",
    ),
    LarqNetwork(
        "real_to_binary_resnet18", "literature.real_to_bin_nets.ResNet18FPFactory", None,
        "Real-to-Binary", "float", None,
        "The first teacher: a ResNet-18 whose blocks end in the same layers' names.",
    ),
]
# fmt: on

for _network in NETWORKS:
    register_larq_network(_network)
