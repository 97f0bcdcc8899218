"""A video call: its media, what a controller of its rate sees, and its record.

This folder holds what all rooms of a call share. `media` has the encoder, pacer, feedback, recovery, playout
and freezes, compiled, as functions of an event and a state; `gcc` the rule that every call carries;
`simulated` computes calls with them. Rooms import this folder, and it imports none of them.
"""
