"""Tasks without a link: jobs by sequence, viewports by viewer and by video."""
