"""What can be known: a bound on the mean QoE of any causal controller, over traces of a generator.

The oracle knows the future, and nobody else can reach it. How much of its lead can be had at all? The bound
is by information relaxation (Brown, Smith, Sun, "Information relaxations and duality in stochastic dynamic
programs", Operations Research 58, 2010): a planner who sees the future pays for what it sees. In every step
of the link it pays

    V(where it stands, what the link does next) - E[V(where it stands, .) | what could be known before],

which has mean 0 for whoever does not see the future, whatever V is. So the mean over traces of the best plan,
paid for, is at least what any causal controller has in the mean; the nearer V comes to what a state is
really worth, the closer it is.

* `laws.py`, `hidden.py`: the generator's own law of the next step, given all that it hides (class, offset,
  level, wander, score, how long an outage has lasted). A controller that saw all this would still be causal;
  the bound holds for it, too, and the more so for those that see downloads alone.
* `accepted.py`: what it changes that members with too high or too low a mean are drawn anew.
* `walker.py`, `worth.py`: V, by value iteration over futures drawn from that law.
* `planner.py`, `windows.py`: the best plan, paid for, on a grid that errs in the planner's favour.
* `played.py`: what the plan of a policy pays: with mean 0, and taking the luck out of its figures.
* `study.py`: all of it, for members of a family, beside policies and the oracle.
"""
