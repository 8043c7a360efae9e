"""Fields on any grid, out of any gridded file that a scientist has."""

DOMAIN = "domains.fields.domain:FieldsDomain"
