"""One TCP connection over a shaped link, frame by frame: what `player/simulated/tcp/link.py` computes with.

`state.py` holds all that changes, `bottleneck.py` is the link, `now.py` its delay
and loss, `cubic.py` the congestion control,
`sender.py` the rest of the sending end, `receiver.py` the other end, `events.py` lets time pass. All of
it is compiled (`player/compiled/compiled.py`); names in brackets are those of Linux (net/ipv4, 6.18).
"""
