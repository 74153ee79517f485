"""For workers that act on records: the events of the event bus, and the records themselves."""
