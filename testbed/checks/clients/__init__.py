"""How true our player is: sessions of the same policies through another client, over the same traces.

`pairs` finds sessions of both clients, `causes` asks a policy again why its choices parted, `figures` makes
rows with intervals of them, `tables` and `plot` show these.
"""
