"""Where will a viewer look next: what a predictor sees and answers, and how far off it is."""
