"""What calls are worth: outcomes from records, or from a batch, and one-number scores of these."""
