"""Tables of hits, segments, tracks and muons, and the files that they and histograms are written to."""
