"""A recogniser as an ONNX graph: written operator by operator from its weights, not traced.

Layers over single frames work on frames `(N, C)` with `N = B * T`, padding included. Padding is set to 0 before each
layer over time. The results are those of the torch modules, which leave padding out. Batch norms are folded into the
layers before them.
"""
