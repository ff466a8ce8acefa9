"""What the counts say of the detector: findings, levels, the time line, notices."""
