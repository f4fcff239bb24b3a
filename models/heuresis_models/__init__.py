"""The scientific language model: grammar, transformer, training, sampling, weights."""
