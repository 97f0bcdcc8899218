"""The task `call`: the rate of a video call's encoder, a number with a spread, every 200 ms.

    python -m policies.llm collect --task call --out pool
    python -m policies.llm adapt --task call --pool pool --layers 4 --rounds 2 --out adapter
    python -m policies.llm test --task call --adapter adapter

What is shipped lies in `weights/`; its card says how it was made, and what it is worth.
"""
