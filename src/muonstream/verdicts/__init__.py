"""Verdicts on the detector from its counts: findings, levels, the time line, notices."""
