"""8-bit integers for what stays float after Larq Compute Engine, from samples instead of training.

    observe     run the float file on samples and note every tensor's numbers
    ranges      choose the range of each tensor that 8 bits will stand for
    select      which tensors those are: those of layers that TensorFlow Lite computes in int8
    quantize    TensorFlow Lite's own quantizer writes the integers; binary layers are then joined
    compare     the int8 file against the float one, piece by piece

LCE itself quantizes only models that were trained with fake-quantization layers. Those could be
inserted here too, but where a range belongs depends on what LCE will fuse; its file shows that.
TensorFlow Lite's calibrator cannot be used: its interpreter has none of LCE's operators.
"""
