"""Names of the inputs and outputs of an exported model. No onnx and no torch here: what runs a model needs neither."""

# (B, T, P, 3) float32, NaN where missing or padded, and (B,) int64, from 1 to T.
POINTS, LENGTHS = "points", "lengths"
# (B, T', V) float32, (B,) int64, and (B, T', D) float32, the classifier's input.
LOG_PROBS, OUTPUT_LENGTHS, FEATURES = "log_probs", "output_lengths", "features"
# The last linear layer: its weights are `classifier.weight`, `classifier.bias` and, in eight bits, `classifier.scale`.
CLASSIFIER = "classifier"
# The weight that holds the size of the vocabulary, by which the log-probabilities are shaped.
NUM_WORDS = "num_words"
