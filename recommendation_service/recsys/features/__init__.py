"""What is known of an item beside who acted on it, as vectors."""
