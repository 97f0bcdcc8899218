"""Decima's net: messages from child to parent, a score a stage, then a score a number of executors.

Mao et al., "Learning Scheduling Algorithms for Data Processing Clusters", SIGCOMM 2019. Sizes are those of
the published weights (20,802 numbers); the weights here are ours.
"""
