"""The strongest small policy: a network that learned from plans with the true future, then by PPO.

`policy.py` decides, without torch. `python -m policies.hindsight train` makes the weights; card.md says
from what, how, and what they score. What a session looks like to the network is in `policies/view`.
"""
