"""Energy records for tests, chosen by hypothesis."""

from hypothesis import strategies as st

from frugalfl.energy import Electricity, EnergyRecord, Reading
from frugalfl.energy.reading import COMPONENTS, SCOPES
from frugalfl.energy.record import SERVER
from frugalfl.text import printable

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
#: What a record may say: it is shown to people.
texts = anything.map(printable)
clients = st.integers(0, 2**60).map(str) | st.just(SERVER)
counts = st.integers(0, 2**53)
amounts = st.floats(0, 1e15)
unknown = st.none()

readings = st.builds(
    Reading, component=st.sampled_from(COMPONENTS), energy_j=unknown | amounts,
    idle_j=unknown | amounts, measured=st.booleans(), method=texts, source=texts,
    scope=st.sampled_from(SCOPES), uncertainty_rel=unknown | st.floats(0, 10),
)  # fmt: skip
grids = st.builds(
    Electricity, region=texts, g_per_kwh=st.floats(0, 2000), year=unknown | st.integers(1990, 2100),
    table=texts,
)  # fmt: skip
records = st.builds(
    EnergyRecord, run=texts, client=clients, round=counts, phase=texts, device=texts,
    start_unix_s=amounts, wall_s=unknown | amounts, cpu_s=unknown | amounts,
    readings=st.lists(readings, max_size=4).map(tuple), samples=counts, correct=unknown | counts,
    uplink_bytes=counts, downlink_bytes=counts, contacts=counts, link=texts, grid=unknown | grids,
    software=texts,
)  # fmt: skip

CPU = Reading("cpu", 6.0, None, False, "cpu-time", "generic", "process", 0.5)
RECORD = EnergyRecord(
    run="r", client="7", round=1, phase="train", device="generic", start_unix_s=1.0, wall_s=2.0,
    cpu_s=1.5, readings=(CPU,), samples=30,
)  # fmt: skip
