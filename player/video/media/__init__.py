"""Real media for described videos: small clips, cut into fragments that are filled up to the described sizes.

Downwards: `package` (a person's own file) and `prepared` (the clips of a video) use `clip`, and that uses
`encode`, `pictures` and `boxes`; `filled` makes segments of fragments.
"""
