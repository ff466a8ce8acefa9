"""The catalogue of histograms, the kernels that fill it, counts and rates against data time."""
