"""A cluster that runs jobs: what a scheduler sees and answers, the simulator, records and scores."""
