"""Why this level: what of its inputs a language model's decision rests on, and what would have changed it."""
