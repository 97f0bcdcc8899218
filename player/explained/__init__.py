"""What stands beside a record: why each level was chosen."""
