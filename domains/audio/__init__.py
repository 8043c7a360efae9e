"""Audio: sound restored and generated; gaps, clipping, lost bands and noise on the user's own recordings."""

DOMAIN = "domains.audio.domain:AudioDomain"  # by name: networks and plots, which the workers that read data do without
