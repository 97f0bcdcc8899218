"""GENET: a Pensieve-sized actor-critic, trained by PPO under a curriculum that makes itself.

Xia et al., "Genet: automatic curriculum generation for learning adaptation in networking", SIGCOMM
2022. Streaming needs `policy.py`, `net.py`, `inputs.py` and `weights/` alone, and numpy. Training
(`python -m policies.genet train`) also needs torch, stable-baselines3 and optuna, and starts at
`train.py`; `weights/card.md` says how the shipped weights came about and what they score.
"""
