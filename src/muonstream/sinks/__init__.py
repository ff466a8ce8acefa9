"""Where results go: store, webhook, notifications, truth tables."""
