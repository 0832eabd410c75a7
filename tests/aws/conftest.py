import pytest

from deployed import IMAGE, Deployed
from emulator import Emulator


@pytest.fixture(scope="session")
def emulator():
    with Emulator() as emulator:
        emulator.podman("image", "exists", f"{IMAGE}:test")
        yield emulator


@pytest.fixture(scope="session")
def stack(emulator):
    deployed = Deployed(emulator, "ezlive", "test")
    yield deployed
