import numpy as np
import pytest
import xarray as xr
from figures import overlaps

from domains.weather import verification_plots, verify

pytestmark = pytest.mark.usefixtures("closed")


def test_diagrams_draw_what_verify_returns(rain):
    values = np.stack([rain[4:], rain[4:] + 3, rain[3:15]])
    time = {"time": 5 * np.arange(1, 13)}
    forecast = xr.DataArray(values, dims=("member", "time", "y", "x"), coords=time)
    observed = xr.DataArray(rain[4:], dims=("time", "y", "x"), coords=time)
    diagram = verify.reliability(forecast, observed, 25.0)
    fig = verification_plots.reliability_diagram({"ensemble": diagram})
    line = fig.axes[0].get_lines()[-1]
    seen = diagram["count"].values > 0
    np.testing.assert_allclose(line.get_ydata(), diagram["frequency"].values[seen])
    assert fig.axes[1].get_yscale() == "log" and not overlaps(fig)

    fig = verification_plots.rank_diagram({"ensemble": [10, 20, 30, 40]})
    np.testing.assert_allclose([p.get_height() for p in fig.axes[0].patches], [0.4, 0.8, 1.2, 1.6])

    scores = verify.by_lead({"ensemble": forecast, "member": forecast.isel(member=[0])}, observed)
    fig = verification_plots.scores_by_lead(scores)
    assert [ax.get_title() for ax in fig.axes] == ["CRPS, dBZ", "spread/skill", "CSI 25 dBZ", "FSS 25 dBZ"]
    assert len(fig.axes[0].get_lines()) == 2 and not overlaps(fig)

    fig = verification_plots.spectra({"observed": verify.spectrum(observed, 2.0), "ensemble": verify.spectrum(forecast, 2.0)})
    assert fig.axes[0].get_xlim()[0] > fig.axes[0].get_xlim()[1] and len(fig.axes[0].get_lines()) == 2
