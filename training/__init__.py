"""From packages to labelled overlaps: fetch, synthesise, mix. Not part of the wheel."""
