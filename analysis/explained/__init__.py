"""Why levels were chosen, as an explanation beside a record says: drawn, without any model."""
