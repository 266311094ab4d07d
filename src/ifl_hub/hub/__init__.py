"""Publishing: cards and structured results made from data, code export, checks, upload.

`ifl-hub push` is the way to use it; in Python, `prepare` and `upload` of `ifl_hub.hub.push`.
"""
