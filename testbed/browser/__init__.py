"""dash.js in headless Chromium as a lane's player: a process that speaks as `python -m player --stream`.

Downwards: `__main__` (the process), `session` (what the page tells into a record's rows), `bridge` (our
policies decide for dash.js), `settings` (dash.js's rules), `page` (one page in one browser), `devtools`,
`chromium`.
"""
