"""The stand-ins of all vendors: each file exports `TARGETS`, from a target's name to what starts
it. The name is the adapter's; a further stand-in of the same one is `adapter@stand-in`.
"""
