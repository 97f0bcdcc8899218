"""What a learned controller sees of a session, whatever the ladder, the link and the weights of QoE.

`layout.py` says where each number stands, `one.py` makes it of one `Observation`, `batch.py` of every
session of a batch; `guard.py` says which levels may be taken whatever a network says.
"""
