"""The page by which an environment is watched: what it shows, and the small server that shows it.

`board` is an apply's steps as data, `reader` what is read of environments, `samples` what they measured over time,
`guard` who may ask, `server` the routes, `static` the page. Must not: change an environment but where a person asks for
exactly that and the server was started for it, or reach anything but loopback.
"""
