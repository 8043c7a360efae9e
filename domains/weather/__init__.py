"""Weather nowcasting: ensembles of rain radar sequences from the last frames."""

DOMAIN = "domains.weather.domain:WeatherDomain"  # by name: networks and plots, which the workers that make data do without
