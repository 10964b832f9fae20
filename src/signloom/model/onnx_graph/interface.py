"""Names of the inputs and outputs of an exported model. No onnx and no torch here: what runs a model needs neither."""

# (B, T, P, 3) float32, NaN where missing or padded, and (B,) int64, from 1 to T.
POINTS, LENGTHS = "points", "lengths"
# (B, T', V) float32, (B,) int64, and (B, T', D) float32, the classifier's input.
LOG_PROBS, OUTPUT_LENGTHS, FEATURES = "log_probs", "output_lengths", "features"
