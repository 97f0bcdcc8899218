"""What tasks without a link have in common."""
