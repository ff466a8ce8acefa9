"""Who may see the page and act on it: options, tokens, hosts, connections."""
