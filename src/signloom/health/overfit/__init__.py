"""The overfit test: can a model learn ten utterances by heart?"""
