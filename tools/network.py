"""The book's small network as an ONNX file, for pages that run it in the reader's browser.

EfficientNet-Lite0 is a chain of convolutions, their normalizations folded into them when it is
loaded, so the file needs few kinds of nodes. Its weights are kept in fewer bits than PyTorch's,
and the runtime turns them back into 32-bit numbers once, when it opens the file.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 9       # what the pinned onnxruntime-web reads, and older ones too
PRECISIONS = ("float16", "int8")
CHOSEN = "float16"      # by agreement with PyTorch, see benchmarks/draw.py


class Graph:
    """Nodes and weights, as they are added; each result has a name.

    precision : how weights are kept, one of `PRECISIONS`; biases are float32, as they are few.
    """

    def __init__(self, precision):
        self.precision, self.nodes, self.weights = precision, [], []

    def add(self, kind, *inputs, **attributes):
        """A node of a kind; the name of its result."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, array):
        """An array as it is; its name."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, array):
        """Weights (n_out, …) in the graph's precision, and what makes float32 of them."""
        if self.precision == "float16":
            return self.add("Cast", self.constant(array.astype(np.float16)), to=TensorProto.FLOAT)
        largest = np.abs(array).reshape(len(array), -1).max(axis=1)
        step = (np.maximum(largest, 1e-12) / 127).astype(np.float32)
        levels = np.round(array / step.reshape(-1, *[1] * (array.ndim - 1))).astype(np.int8)
        zero = np.zeros(len(step), np.int8)
        return self.add("DequantizeLinear", *map(self.constant, (levels, step, zero)), axis=0)

    def convolve(self, x, layer, clip=True):
        """A convolution, and ReLU6 if `clip`."""
        left, right, top, bottom = getattr(layer.static_padding, "padding",
                                           np.repeat(layer.padding[::-1], 2).tolist())
        x = self.add("Conv", x, self.weight(layer.weight.numpy()),
                     self.constant(layer.bias.numpy()), group=layer.groups,
                     strides=list(layer.stride), pads=[top, left, bottom, right])
        return self.add("Clip", x, *map(self.constant, np.float32([0, 6]))) if clip else x

    def block(self, x, block):
        """An inverted bottleneck: wider, over space, narrower, and past it where shapes allow."""
        y = x
        if hasattr(block, "_expand_conv"):
            y = self.convolve(y, block._expand_conv)
        y = self.convolve(y, block._depthwise_conv)
        y = self.convolve(y, block._project_conv, clip=False)
        told = block._block_args
        past = block.id_skip and told.stride == 1 and told.input_filters == told.output_filters
        return self.add("Add", x, y) if past else y


@torch.no_grad()
def export(backbone, precision, size):
    """The network of `vision.load_backbone` as the bytes of an ONNX file.

    From "pictures", (n, 3, size, size) normalized, to "features", (n, dim), and "scores",
    (n, 1000), of the ImageNet classes before the softmax. Raises ValueError for another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}; got {precision!r}.")
    model, head = backbone.maps.__self__.cpu(), backbone.head
    graph = Graph(precision)
    x = graph.convolve("pictures", model._conv_stem)
    for block in model._blocks:
        x = graph.block(x, block)
    x = graph.convolve(x, model._conv_head)
    x = graph.add("GlobalAveragePool", x)
    graph.nodes.append(helper.make_node("Flatten", [x], ["features"]))
    graph.nodes.append(helper.make_node(
        "Gemm", ["features", graph.weight(head.weight.numpy()),
                 graph.constant(head.bias.numpy())], ["scores"], transB=1))
    return serialize(graph, {"pictures": ["n", 3, size, size]},
                     {"features": ["n", backbone.dim], "scores": ["n", head.out_features]})


def serialize(graph, inputs, outputs):
    """A graph with its inputs and outputs as the bytes of a file, checked."""
    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in shapes.items()]
    model = helper.make_model(helper.make_graph(graph.nodes, "network", values(inputs),
                                                values(outputs), graph.weights),
                              opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
