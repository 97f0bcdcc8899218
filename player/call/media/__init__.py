"""A call's media, compiled: functions of an event and the state that it meets.

`sender_state` and `receiver_state` say what the two ends know. The sender's events: a frame is captured
(`encoder`, `pacer.enqueue`), a packet is due (`pacer.send`), a report comes (`feedback.take`), a repeat is
asked for (`recovery.resend`). The receiver's: a packet comes (`receiving.receive`), a report is due
(`feedback.report`, `assembly.give_up`, `recovery.ask_again`). Nobody here keeps a clock or knows a socket:
the simulated call runs through these events in a compiled loop, the emulated one calls them as they happen.
"""
