"""Access to the page and to its actions: options, tokens, hosts, connections."""
