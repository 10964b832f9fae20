"""Connectionist temporal classification (CTC) without torch: decoding, language models, alignment, confidences."""
