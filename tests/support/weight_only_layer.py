"""A layer of floats with packed ±1 weights, as `pack_binary_weights` writes it."""

import numpy as np

from onebit.bits import pack

from .lce_graphs import ABSENT, Graph, conv_options, dense_options, elementwise, schema
from .lce_oracle import same_padding

EPSILON = 2.0**-24


class Layer:
    """Random data of one layer, its file, and NumPy's result in double."""

    def __init__(self, kind, channels, outputs, *, seed=1, relu=False, post="mul,add", **geometry):
        rng = np.random.default_rng(seed)
        self.kind, self.channels, self.outputs, self.relu = kind, channels, outputs, relu
        self.post = post.split(",") if post else []
        g = {"batch": 1, "size": (5, 6), "kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}
        self.g = g | {"same": True, "keep_dims": False} | geometry
        g = self.g
        if kind == "dense":
            self.x = rng.standard_normal((g["batch"], channels))
            self.weights = rng.choice([-1, 1], (outputs, channels))
        else:
            self.x = rng.standard_normal((g["batch"], *g["size"], channels))
            shape = (
                (1, *g["kernel"], outputs)
                if kind == "depthwise"
                else (outputs, *g["kernel"], channels)
            )
            self.weights = rng.choice([-1, 1], shape)
        self.x = self.x.astype(np.float32)
        self.scale = rng.standard_normal(outputs).astype(np.float32)
        self.bias = rng.standard_normal(outputs).astype(np.float32)

    def model(self):
        g, graph = self.g, Graph()
        x = graph.tensor(self.x.shape)
        bits = graph.constant(pack(self.weights))
        weights = graph.dequantize(bits, self.weights.shape[-1])
        out = graph.tensor(self.expected().shape)
        ops = schema.BuiltinOperator
        activation = 1 if self.relu and not self.post else 0
        if self.kind == "dense":
            bias = ABSENT
            code, builtin = ops.FULLY_CONNECTED, dense_options(g["keep_dims"], activation)
        else:
            bias = graph.constant(np.zeros(self.outputs, np.float32))
            depthwise = self.kind == "depthwise"
            code = ops.DEPTHWISE_CONV_2D if depthwise else ops.CONV_2D
            builtin = conv_options(
                g["stride"],
                g["dilation"],
                g["same"],
                depthwise,
                activation,
                self.outputs // self.channels if depthwise else 1,
            )
        graph.operator(code, [x, weights, bias], [out], builtin=builtin)
        for i, step in enumerate(self.post):
            last = self.relu and i + 1 == len(self.post)
            constant = self.scale if step == "mul" else self.bias
            out = elementwise(graph, step.upper(), out, constant, 1 if last else 0)
        return graph.build([x], [out])

    def sums(self, x, weights):
        g = self.g
        if self.kind == "dense":
            return x @ weights.T
        if g["same"]:
            pads = [
                same_padding(x.shape[1 + i], g["kernel"][i], g["stride"][i], g["dilation"][i])
                for i in (0, 1)
            ]
            x = np.pad(x, [(0, 0), *pads, (0, 0)])
        (sy, sx), (dy, dx), (ky, kx) = g["stride"], g["dilation"], g["kernel"]
        rows = (x.shape[1] - (ky - 1) * dy - 1) // sy + 1
        cols = (x.shape[2] - (kx - 1) * dx - 1) // sx + 1
        total = np.zeros((x.shape[0], rows, cols, self.outputs))
        for i in range(ky):
            for j in range(kx):
                patch = x[:, i * dy :: sy, j * dx :: sx][:, :rows, :cols]
                if self.kind == "depthwise":
                    repeated = np.repeat(patch, self.outputs // self.channels, -1)
                    total += repeated * weights[0, i, j]
                else:
                    total += patch @ weights[:, i, j].T
        return total

    def finish(self, total):
        for step in self.post:
            total = total * self.scale if step == "mul" else total + self.bias
        return np.maximum(total, 0) if self.relu else total

    def expected(self):
        return self.finish(self.sums(self.x.astype(np.float64), self.weights))

    def tolerance(self):
        """Each of K additions, and scale and bias, rounds by at most half an ulp of Σ|x|."""
        terms = self.weights.size // self.outputs + 4
        total = self.sums(np.abs(self.x.astype(np.float64)), np.abs(self.weights))
        scale = np.abs(self.scale) if "mul" in self.post else 1
        return terms * EPSILON * (total * scale + np.abs(self.bias))
