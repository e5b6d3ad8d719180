"""GroupNorms in an OpenVINO graph, computed over flattened height and width.

OpenVINO calls its element-wise kernels once for every few numbers of a picture, and a UNet spends more time on them than
on its convolutions: silu(x * scale + shift) of 14x96x16x16 floats takes 3.2 cycles each, of 14x96x256 floats 1.6. It is
the same arithmetic on the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def flatten_norms(model: Any) -> None:
    """Rewrites each GroupNormalization in ``model``, and what scales, shifts and activates its result.

    These see ``[N, C, H * W]``; what follows sees the shape that it did.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "GroupNormalization":
            _flatten(node)
    model.validate_nodes_and_infer_types()


def _flatten(norm: Any) -> None:
    from openvino import opset13 as ops

    picture, gamma, beta = (norm.input_value(place) for place in range(3))
    flat = _normalized(norm)
    for affine, value in ((ops.multiply, gamma), (ops.add, beta)):
        flat = affine(flat, ops.reshape(value, [1, -1, 1], special_zero=False))
    last = norm.output(0)
    while follower := _only_follower(last):
        match follower.get_type_name(), _second_operand(follower, last):
            case "Swish", None:
                flat = ops.swish(flat)
            case "Multiply", other if _keeps_shape(other):
                flat = ops.multiply(flat, _flat(other))
            case "Add", other if _keeps_shape(other):
                flat = ops.add(flat, _flat(other))
            case _:
                break
        last = follower.output(0)
    whole = ops.reshape(flat, ops.shape_of(picture), special_zero=False)
    for use in last.get_target_inputs():
        use.replace_source_output(whole.output(0))


def _normalized(norm: Any) -> Any:
    """The input of ``norm`` as ``[N, C, H * W]``, each group with mean 0 and variance 1.

    Source: Group Normalization, Wu and He 2018, equation 1; torch.nn.GroupNorm for where epsilon stands.
    """
    from openvino import opset13 as ops

    attributes = norm.get_attributes()
    groups = ops.reshape(norm.input_value(0), [0, attributes["num_groups"], -1], special_zero=True)
    groups = ops.mvn(groups, [2], True, attributes["epsilon"], "inside_sqrt")
    channels = norm.get_input_partial_shape(1)[0].get_length()
    return ops.reshape(groups, [0, channels, -1], special_zero=True)


def _only_follower(output: Any) -> Any:
    """The one node that uses ``output``, once; None when others do too."""
    uses = output.get_target_inputs()
    return next(iter(uses)).get_node() if len(uses) == 1 else None


def _second_operand(node: Any, first: Any) -> Any:
    """What ``node`` takes besides ``first``; None when it takes nothing else."""
    return next((value for value in node.input_values() if value != first), None)


def _keeps_shape(operand: Any) -> bool:
    """Whether ``operand`` has a number for each pixel, or one for all pixels of a channel: not one a row of pixels."""
    shape = operand.get_partial_shape() if operand is not None else None
    return shape is not None and shape.rank == 4 and (shape[2] == 1) == (shape[3] == 1)


def _flat(value: Any) -> Any:
    """``value``, ``[N, C, H, W]``, as ``[N, C, H * W]``."""
    from openvino import opset13 as ops

    node = value.get_node()
    if node.get_type_name() == "Add":
        convolution, bias = (operand.get_node() for operand in node.input_values())
        if _is_pointwise(convolution) and _is_bias(bias):
            return _product(convolution, bias)
    return ops.reshape(value, [0, 0, -1], special_zero=True)


def _product(convolution: Any, bias: Any) -> Any:
    """A pointwise convolution (those of MoVQ's spatial norms) and its bias as one matrix product.

    It gives ``[N, C, H * W]`` in this order; the convolution would give channels last, and to reorder them takes longer
    than to compute them. The bias is one more column of weights, for a channel of ones.
    """
    from openvino import opset13 as ops

    weights = ops.squeeze(convolution.input_value(1), [2, 3])
    column = ops.reshape(bias, [-1, 1], special_zero=False)
    channels = _flat(convolution.input_value(0))
    with_ones = ops.pad(channels, [0, 0, 0], [0, 1, 0], "constant", np.float32(1))
    return ops.matmul(ops.concat([weights, column], 1), with_ones, False, False)


def _is_bias(node: Any) -> bool:
    """Whether ``node`` is a constant with a number for each channel."""
    if node.get_type_name() != "Constant":
        return False
    shape = list(node.get_output_shape(0))
    return len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1


def _is_pointwise(node: Any) -> bool:
    """Whether ``node`` is a convolution, each pixel of whose result comes from the one pixel in its place."""
    if node.get_type_name() != "Convolution":
        return False
    attributes, kernel = node.get_attributes(), node.get_input_partial_shape(1)
    moves = attributes["strides"] != [1, 1] or any(attributes["pads_begin"] + attributes["pads_end"])
    return kernel[2] == 1 and kernel[3] == 1 and not moves
