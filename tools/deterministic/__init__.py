"""A whole system in one thread: gateway, a model of the broker, engine and store under a seeded scheduler.

`python -m tools.deterministic --seeds 200` draws a scene from each seed: words, how they are sent, bounds, faults and
their order. At the end of each seed the engine's summary must be the one of the same words pushed into a pipeline in
one piece, which is what `muonstream process` does with a file.
"""
