"""Networks of the zoo in Keras 3, layer for layer, so that weights move between the two.

from zoo.keras3.models import binary_net_mlp

model = binary_net_mlp(units=256)
"""

from zoo.keras3.models.binary_connect import binary_connect_cnn, binary_connect_mlp
from zoo.keras3.models.binary_net import binary_net_cnn, binary_net_mlp
from zoo.keras3.models.quicknet import quicknet_small

__all__ = [
    "binary_connect_cnn",
    "binary_connect_mlp",
    "binary_net_cnn",
    "binary_net_mlp",
    "quicknet_small",
]
