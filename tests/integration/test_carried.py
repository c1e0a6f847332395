"""Messages that carry their content, through Flower's own code of a SuperLink, without a network.

What is relied on here: a SuperLink hands on the content of a message, takes an object of an upload
without its session's name, and forgets a message that is confirmed.
"""

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Error, Message
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID, TaskType
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.state.schema.corestate_models import ObjectPushSession
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.grid.http_grid import HttpGrid
from flwr.superlink.servicer.fleet import fleet_handlers
from flwr.superlink.servicer.runtime import runtime_handlers

from frugalfl import wire
from frugalfl.carried import MOST_DOWN_BYTES, MOST_UP_BYTES
from frugalfl.fold_message import FOLDED, fold, unfold
from frugalfl_client.node import flower
from frugalfl_client.node.channel import Answer
from frugalfl_server.app import _carrying
from frugalfl_server.exchange.flower.carrying import CarryingGrid
from frugalfl_server.exchange.view import View

REQUESTS = {
    "register-node": fleet_pb2.RegisterNodeFleetRequest,
    "activate-node": fleet_pb2.ActivateNodeRequest,
    "pull-messages": fleet_pb2.PullMessagesRequest,
    "push-messages": fleet_pb2.PushMessagesRequest,
    "pull-object": message_pb2.PullObjectRequest,
    "push-object": message_pb2.PushObjectRequest,
    "confirm-message-received": message_pb2.ConfirmMessageReceivedRequest,
    "send-node-heartbeat": heartbeat_pb2.SendNodeHeartbeatRequest,
}


class Link:
    """A SuperLink's state, with a run that goes on; both its sides are called without a network."""

    address = "here"

    def __init__(self, database):
        objects = ObjectStoreFactory(database)
        self.state = LinkStateFactory(database, NoOpFederationManager(), objects).state()
        self.run = self.state.create_run(
            "me/app", "1", "", {}, NOOP_FEDERATION_ID, None, None, TaskType.SERVER_APP
        )
        (about,) = self.state.get_run_info(run_ids=[self.run])
        self.state.claim_task(about.primary_task_id)
        self.state.activate_task(about.primary_task_id)
        self.task = SimpleNamespace(run_id=self.run)
        self.calls = []

    def post(self, path, headers, body, timeout, most):
        """Answer a node."""
        name = path.rpartition("/")[2]
        self.calls.append(name)
        more = {"enable_supernode_auth": False} if name == "register-node" else {}
        if name in ("pull-messages", "confirm-message-received"):
            more = {"store": self.state.object_store}
        handler = getattr(fleet_handlers, name.replace("-", "_"))
        answer = handler(request=REQUESTS[name].FromString(body), state=self.state, **more)
        return Answer(200, answer.SerializeToString(), None)

    def __getattr__(self, name):
        """Answer the ServerApp."""
        handlers = {
            "PushMessages": runtime_handlers.push_messages,
            "PullMessages": runtime_handlers.pull_messages,
            "PushObject": runtime_handlers.push_object,
            "PullObject": runtime_handlers.pull_object,
            "ConfirmMessageReceived": runtime_handlers.confirm_message_received,
        }
        return lambda request: handlers[name](request, self.state, self.task)

    @property
    def uploads(self):
        """How many uploads it takes for unfinished."""
        if hasattr(self.state, "_object_push_sessions"):
            return len(self.state._object_push_sessions)
        with self.state.session() as session:
            return session.query(ObjectPushSession).count()

    def left(self, names):
        """Return which objects it still has."""
        return [name for name in names if name in self.state.object_store]


@pytest.fixture(params=["memory", "file"])
def link(request, tmp_path, monkeypatch):
    made = Link(FLWR_IN_MEMORY_DB_NAME if request.param == "memory" else str(tmp_path / "link.db"))
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    flower.identify(made.run, 1)
    return made


@pytest.fixture
def grid(link):
    flowers = HttpGrid(token="any")
    flowers._client = link
    flowers._run = SimpleNamespace(run_id=link.run)
    return _carrying(flowers)  # the ServerApp tells it by its module's name


@pytest.fixture
def node(link):
    fleet = flower.Fleet(link, ec.generate_private_key(ec.SECP384R1()))
    fleet.register()
    number = fleet.activate(30.0)
    link.calls.clear()
    return SimpleNamespace(fleet=fleet, id=number)


def question(node, frames=b"frames"):
    request = wire.TrainRequest("run", 1, -1, 1, (0, 2), frames, "raw")
    return Message(wire.pack_request(request), node.id, "train", ttl=600, group_id="1")


def answer_to(message, node, frame=b"update"):
    flower.identify(message.metadata.run_id, node.id)
    return Message(fold(wire.pack_reply(wire.TrainReply(1, frame, 5))), reply_to=message)


def one_round(link, grid, node, frames=b"frames", frame=b"update"):
    """Ask, answer as the node does, and return what the server reads and what the node called."""
    link.calls.clear()
    TaskIdentity.node_id = 1
    (number,) = grid.push_messages([question(node, frames)])
    incoming = node.fleet.pull(node.id)
    message = node.fleet.fetch(node.id, incoming)
    assert wire.unpack_request(message).frames == frames
    message.content = unfold(message.content)
    reply = answer_to(message, node, frame)
    parcel = flower.pack(reply, node.id, 0.1, carried=wire.offers_carrying(message.content))
    assert node.fleet.push(parcel)
    if parcel.objects:
        node.fleet.confirm(node.id, incoming)
    (received,) = grid.pull_messages([number])
    assert received.metadata.reply_to_message_id == number
    assert received.metadata.src_node_id == node.id
    assert wire.unpack_reply(received).frame == frame
    assert not link.left([number, received.metadata.message_id])
    return list(link.calls)


def test_from_the_second_round_on_two_requests_are_enough(link, grid, node):
    first = one_round(link, grid, node)
    assert first.count("pull-object") == 5
    assert first[-1] == "push-messages"
    for _ in range(3):
        assert one_round(link, grid, node) == ["pull-messages", "push-messages"]


def test_nothing_is_left_at_the_superlink(link, grid, node):
    one_round(link, grid, node)
    one_round(link, grid, node)
    assert len(link.state.object_store) == 0
    assert link.uploads == 0


def test_what_is_large_goes_as_objects(link, grid, node):
    one_round(link, grid, node)
    large = one_round(link, grid, node, frames=bytes(MOST_DOWN_BYTES + 1))
    assert "pull-object" in large
    assert large[-1] == "push-messages"
    up = one_round(link, grid, node, frame=bytes(MOST_UP_BYTES + 1))
    assert up[-1] == "confirm-message-received"
    assert "pull-object" in one_round(link, grid, node)  # it may be another node now
    assert one_round(link, grid, node) == ["pull-messages", "push-messages"]


def test_a_node_of_flowers_in_its_place_reads_a_carried_message(link, grid, node):
    """The same key, another program: the objects are there too."""
    one_round(link, grid, node)
    TaskIdentity.node_id = 1
    grid.push_messages([question(node)])
    incoming = node.fleet.pull(node.id)
    assert incoming.message.content
    (content,) = incoming.tree.children
    inflated = node.fleet._contents.fetch(node.id, link.run, content)
    assert list(inflated) == [FOLDED]
    about = SimpleNamespace(content=inflated)
    assert wire.unpack_request(about).frames == b"frames"


def test_an_answer_that_was_sent_twice_counts_once(link, grid, node):
    (number,) = grid.push_messages([question(node)])
    incoming = node.fleet.pull(node.id)
    message = node.fleet.fetch(node.id, incoming)
    parcel = flower.pack(answer_to(message, node), node.id, 0.1, carried=True)
    assert node.fleet.push(parcel)
    assert node.fleet.push(parcel)  # the line broke, and the node cannot know
    assert len(list(grid.pull_messages([number]))) == 1
    assert not node.fleet.push(parcel)
    assert len(link.state.object_store) == 0


def test_an_error_is_carried_too(link, grid, node):
    (number,) = grid.push_messages([question(node)])
    message = node.fleet.fetch(node.id, node.fleet.pull(node.id))
    flower.identify(link.run, node.id)
    reply = Message(Error(flower.APP_RAISED, "no battery"), reply_to=message)
    assert node.fleet.push(flower.pack(reply, node.id, 0.1, carried=True))
    (received,) = grid.pull_messages([number])
    assert received.error.reason == "no battery"
    assert len(link.state.object_store) == 0


def test_a_grid_without_a_superlink_stays_as_it_is():
    simulated = View(None)
    assert _carrying(simulated) is simulated
    with pytest.raises(TypeError, match="View has no SuperLink"):
        CarryingGrid(simulated)
