"""What threads need: pools, wake-ups, bounded queues, listeners. The only place with locks."""

import logging

# A library says nothing of its own accord: what it logs goes where the program sends it.
logging.getLogger("bargein").addHandler(logging.NullHandler())
