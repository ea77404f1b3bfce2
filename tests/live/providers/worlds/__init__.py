"""One file for each provider's world: it exports `WORLDS`, from a name to what starts it."""
