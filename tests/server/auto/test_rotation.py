"""Authorities that are replaced, lost and spoiled, under handshakes."""

import base64
import json
from collections.abc import Callable
from functools import partial

import pytest

from certs import Authority, parse_bundle
from certs.authority import renewal_time
from tests.server.auto.cluster import (
    CONFIGURATION,
    SECONDS,
    SECRET,
    SHORT,
    Replica,
    bundles,
    delete,
    fails,
    is_ready,
    load,
    now,
    secret,
    shake_hands,
)
from tests.support.api_server import ApiServer
from tests.support.polling import until


def test_no_handshake_is_lost_while_leaves_and_authorities_are_replaced(api: ApiServer, replica: Replica) -> None:
    """The cluster's clock goes on in steps, each as soon as everything that is due has been renewed."""

    def is_renewed() -> bool:
        trusted.append(len(parse_bundle(bundles(api)[0])))
        certificates = [*counted.shown.values(), *parse_bundle(secret(api)["tls.crt"])]
        return len(certificates) == 3 and all(renewal_time(each) > now(api) for each in certificates)

    trusted = list[int]()
    with replica("one", SHORT) as one, replica("other", SHORT) as other:
        until(lambda: is_ready(one) and is_ready(other))
        first = parse_bundle(bundles(api)[0])[0]
        with load(api, one, other) as counted:
            until(is_renewed, SECONDS)
            while now(api) < first.not_valid_after_utc:
                api.clock_ahead += SHORT["leafLifetime"] / 6
                until(is_renewed, SECONDS)
            until(lambda: first not in parse_bundle(bundles(api)[0]), SECONDS)
        assert not counted.failures
        assert counted.done >= 100
        assert max(trusted) >= 2  # the overlap
        assert len(counted.leaves) >= 6
        assert is_ready(one)
        assert is_ready(other)


def spoil(api: ApiServer, **data: bytes | None) -> None:
    kept = secret(api) | {key.replace("_", "."): value for key, value in data.items()}
    encoded = {key: base64.b64encode(value).decode() for key, value in kept.items() if value is not None}
    api.put(SECRET, {**api.objects[SECRET], "data": encoded})


@pytest.mark.parametrize(
    "harm",
    [
        delete,
        partial(spoil, tls_key=b"nonsense"),
        partial(spoil, tls_crt=None),
        partial(spoil, tls_key=Authority.create().key),
        partial(spoil, tls_crt=None, tls_key=None, ca_crt=None),
    ],
    ids=["deleted", "a key that is none", "no certificate", "the key of another", "empty"],
)
def test_a_secret_that_is_deleted_or_spoiled_is_made_anew_with_no_handshake_lost(
    api: ApiServer, replica: Replica, harm: Callable[[ApiServer], None]
) -> None:
    with replica() as one:
        until(lambda: is_ready(one))
        before = bundles(api)[0]
        with load(api, one) as counted, replica("late") as late:
            harm(api)
            until(lambda: SECRET in api.objects and secret(api).get("tls.crt", before) not in before)
            new = secret(api)["tls.crt"]
            until(lambda: not fails(one, new) and is_ready(late))
        assert not counted.failures
        assert counted.done > 20
        assert before + new == secret(api)["ca.crt"] == bundles(api)[0] == bundles(api)[1]


@pytest.mark.parametrize("content", [b"", b"nonsense", Authority.create().certificate])
def test_a_bundle_that_someone_else_overwrites_is_put_right(api: ApiServer, replica: Replica, content: bytes) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        right = bundles(api)[0]
        entries = json.loads(json.dumps(api.objects[CONFIGURATION]))
        entries["webhooks"][1]["clientConfig"]["caBundle"] = base64.b64encode(content).decode()
        api.put(CONFIGURATION, entries)
        until(lambda: bundles(api) == [right, right])


def test_an_api_server_that_answers_503_leaves_a_ready_replica_ready(api: ApiServer, replica: Replica) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        api.answer = 503
        until(lambda: webhook.metrics()["model_injector_certificate_errors_total"] >= 2)
        assert is_ready(webhook)
        shake_hands(webhook, bundles(api)[0])
        told = [line for line in webhook.log() if "the API server answers 503" in line.get("problem", "")]
        assert len(told) == 1  # not once for each try


def test_an_answer_that_makes_no_sense_stops_nothing(api: ApiServer, replica: Replica) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        sane = api.objects[CONFIGURATION]
        api.objects[CONFIGURATION] = {"metadata": {"resourceVersion": "1"}, "webhooks": [{"name": "x"}]}
        until(lambda: webhook.metrics()["model_injector_certificate_errors_total"] >= 1)
        assert is_ready(webhook)
        api.objects[CONFIGURATION] = sane
        shake_hands(webhook, bundles(api)[0])
