"""What the lean node takes from flwr's internals, and what to do when an upgrade moves it.

All of it is in client/frugalfl_client/node/flower, and of the server's half in
server/frugalfl_server/exchange/flower; nothing else has to change. What both rely on a SuperLink
to do is in test_carried.py.
"""

import ast
import importlib.util
import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "client" / "frugalfl_client" / "node"
FLOWER = NODE / "flower"
ADAPTERS = sorted(FLOWER.glob("*.py"))
SERVERS = sorted((ROOT / "server" / "frugalfl_server" / "exchange" / "flower").glob("*.py"))
MOVED = f"flwr has changed what {FLOWER.relative_to(ROOT)} relies on: adapt that folder"
#: What Flower promises to its users; anything may import it.
PUBLIC = {"flwr.app", "flwr.clientapp"}


def modules_of(path):
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module, [alias.name for alias in statement.names]
        elif isinstance(statement, ast.Import):
            yield from ((alias.name, []) for alias in statement.names)


def test_only_the_adapter_knows_internals():
    for path in NODE.rglob("*.py"):
        used = {name for name, _ in modules_of(path) if name.partition(".")[0] == "flwr"}
        assert path in ADAPTERS or used <= PUBLIC, path


def is_in(package, name):
    """Say whether a package has a name, or a module of that name."""
    return hasattr(package, name) or importlib.util.find_spec(f"{package.__name__}.{name}")


@pytest.mark.parametrize("adapter", [*ADAPTERS, *SERVERS], ids=lambda path: path.name)
def test_everything_is_where_it_was(adapter):
    moved = f"flwr has changed what {adapter.relative_to(ROOT)} relies on: adapt that file"
    for module, names in modules_of(adapter):
        if module.partition(".")[0] == "flwr":
            try:
                found = __import__(module, fromlist=["*"])
            except ImportError as error:
                pytest.fail(f"{moved} ({error})")
            missing = [name for name in names if not is_in(found, name)]
            assert not missing, f"{moved} ({module} has no {missing})"


def test_the_pin_and_the_version_tested_agree():
    version = metadata.version("flwr")
    pins = re.findall(r'"flwr(?:\[\w+\])?>=(\d+\.\d+),<', (ROOT / "pyproject.toml").read_text())
    assert set(pins) == {version.rpartition(".")[0]}, MOVED
    assert f"flwr=={version}\n" in (ROOT / "constraints.txt").read_text(), MOVED


def test_the_calls_are_those_of_flowers_own_client():
    """Paths, request and response types, as the stock node uses them."""
    from flwr.supernode import fleet_http_client

    source = Path(fleet_http_client.__file__).read_text()
    ours = set(re.findall(r'_call\(\s*"([a-z-]+)"', (FLOWER / "fleet.py").read_text()))
    theirs = set(re.findall(r'path="/v1/fleet/([a-z-]+)"', source))
    assert ours == theirs, MOVED


def test_the_numbers_of_its_errors():
    from flwr.supercore.error import ApiErrorCode

    from frugalfl_client.node import flower

    assert flower.KEY_IN_USE == ApiErrorCode.PUBLIC_KEY_ALREADY_IN_USE, MOVED
    assert flower.REGISTERED_ONLY == ApiErrorCode.FLEET_SUPERNODE_REGISTRATION_DISABLED, MOVED
    assert flower.NOT_ACTIVATED == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED, MOVED
    assert flower.RUN_OVER == ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED, MOVED


@pytest.mark.parametrize("name", ["public-key", "timestamp", "signature"])
def test_a_request_is_signed_as_flower_checks_it(name):
    """Our headers, read by the SuperLink's own function."""
    from types import SimpleNamespace

    from cryptography.hazmat.primitives.asymmetric import ec
    from fastapi import HTTPException
    from flwr.proto.fleet_pb2 import ActivateNodeRequest
    from flwr.superlink.routers.fleet.node_auth import authenticate_node

    from frugalfl_client.node.flower import Fleet

    class Recorder:
        address = "nowhere"

        def post(self, path, headers, body, timeout, most):
            self.headers, self.body = dict(headers), body
            raise ConnectionError

    recorder = Recorder()
    with pytest.raises(ConnectionError):
        Fleet(recorder, ec.generate_private_key(ec.SECP384R1())).activate(30.0)
    message = ActivateNodeRequest()
    message.ParseFromString(recorder.body)
    request = SimpleNamespace(
        headers=recorder.headers, state=SimpleNamespace(protobuf_request=message)
    )
    authenticate_node(request)
    del recorder.headers[f"flwr-{name}"]
    with pytest.raises(HTTPException):
        authenticate_node(request)


def test_the_front_knows_the_nodes_calls_as_flower_serves_them():
    """Paths, headers, tolerances and answers that the front has written down, beside flwr's own."""
    from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
    from flwr.supercore import constant
    from flwr.supercore.error import ApiErrorCode
    from flwr.supercore.error.catalog import API_ERROR_MAP
    from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
    from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

    from frugalfl_server.serve.front import fleet_api

    moved = "flwr has changed what serve/front/fleet_api.py has written down: adapt that file"
    served = {(method, path) for method, path in PROTOBUF_REQUEST_TYPES if "/fleet/" in path}
    assert served == {("POST", target.decode()) for target in fleet_api.TARGETS}, moved
    assert fleet_api.MEDIA_TYPE.decode() == PROTOBUF_MEDIA_TYPE, moved
    assert fleet_api.KEY.decode() == constant.FLEET_HTTP_PUBLIC_KEY_HEADER, moved
    assert fleet_api.SIGNATURE.decode() == constant.FLEET_HTTP_SIGNATURE_HEADER, moved
    assert fleet_api.TIME.decode() == TIMESTAMP_HEADER, moved
    about = {
        constant.FLWR_PACKAGE_NAME_METADATA_KEY, constant.FLWR_PACKAGE_VERSION_METADATA_KEY,
        constant.FLWR_COMPONENT_NAME_METADATA_KEY,
    }  # fmt: skip
    assert about < {name.decode() for name in fleet_api.HANDED_ON}, moved
    assert fleet_api.OLDEST_S == TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE, moved
    assert fleet_api.NEWEST_S == -SYSTEM_TIME_TOLERANCE, moved
    for status, code in fleet_api.NOT_REGISTERED.values():
        assert API_ERROR_MAP[ApiErrorCode(code)].http_status_code == status, moved


def test_a_token_is_hidden_as_flower_starts_a_serverapp():
    """What serve/superexec.py relies on: the module's ``subprocess``, and ``--token-file``."""
    from flwr.supercore.superexec.executor import subprocess_executor
    from flwr.superlink.cli.flwr_serverapp import _parse_args_run_flwr_serverapp

    source = Path(subprocess_executor.__file__).read_text()
    used = set(re.findall(r"subprocess\.([A-Za-z]+)", source))
    assert used == {"Popen", "DEVNULL"} and '"--token",' in source, "adapt serve/superexec.py"
    assert "--token-file" in _parse_args_run_flwr_serverapp().format_help()
