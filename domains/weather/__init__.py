"""Weather nowcasting: ensembles of rain radar sequences from the last frames."""


def get_domain(config, normalizer=None):
    """The weather domain of a config; see `domains.weather.domain`."""
    from domains.weather.domain import WeatherDomain  # networks and plots, which the workers that make data do without

    return WeatherDomain.from_config(config, normalizer)
