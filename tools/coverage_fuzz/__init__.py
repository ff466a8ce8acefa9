"""Coverage-guided fuzzing of parsers and decoders: which targets there are, inputs to begin with, and the driver."""
