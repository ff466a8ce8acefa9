"""Where words come from: files, folders, pipes, URLs, the simulation."""
