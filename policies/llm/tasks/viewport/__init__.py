"""The task `viewport`: where a viewer will look in the next four seconds, one token a sample of the head.

Head motion as numbers, what earlier viewers of the video did as a series, and where they looked as a small
image.
"""
