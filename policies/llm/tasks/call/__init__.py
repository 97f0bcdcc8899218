"""The task `call`: the rate of a video call's encoder, a number with a spread, every 200 ms."""
