"""Real-time stream processing and live monitoring for drift-tube muon detectors."""

__version__ = "0.1.0"
