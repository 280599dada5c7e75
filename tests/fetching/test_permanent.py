"""What cannot pass ends at once, and what can is waited for: by the code that S3 answers, else by the status."""

import re
from collections.abc import Callable

import pytest

from tests.fetching.conftest import Model, Store
from tests.support.container import NO_RETRY, InitContainer
from tests.support.faults import Answer, Fault, Request, s3_error
from tests.support.faulty_proxy import FaultyProxy

NO_CLUE = "An answer that says nothing."
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MAY_NOT_DECRYPT = (
    "User: arn:aws:sts::111122223333:assumed-role/models/pod is not authorized to perform: kms:Decrypt on resource: "
    f"{KEY} because no identity-based policy allows the kms:Decrypt action"
)
ANOTHER_KEY = (
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you "
)
LOGIN = (
    b'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body><form action=/login>Sign in</form></body></html>'
)
TIDY_LOGIN = b"<html><body><h1>Sign in</h1></body></html>"


@pytest.fixture(autouse=True)
def one_file(model: Model) -> None:
    model.write({"a": b"x"})


def page(status: int, body: bytes = TIDY_LOGIN, kind: str = "text/html; charset=utf-8", **headers: str) -> Answer:
    return Answer(status, body, (("Content-Type", kind), *headers.items()))


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (s3_error(400, "KMS.DisabledException", f"{KEY} is disabled."), "Incomplete", "is disabled"),
        (
            s3_error(400, "KMS.KMSInvalidStateException", f"{KEY} is pending deletion."),
            "Incomplete",
            "pending deletion",
        ),
        (s3_error(400, "KMS.NotFoundException", f"Key '{KEY}' does not exist"), "Incomplete", "KMS.NotFound"),
        (s3_error(400, "InvalidRequest", "The object was stored using a form of SSE."), "Incomplete", "SSE"),
        (s3_error(400, "InvalidBucketName", "The specified bucket is not valid."), "NotFound", "InvalidBucketName"),
        (s3_error(400, "InvalidToken", "The token is malformed."), "Unauthorized", "InvalidToken"),
        (s3_error(403, "AccessDenied", "access denied by the quota of a directory"), "Unauthorized", "s3:GetObject"),
        (s3_error(403, "AccessDenied", MAY_NOT_DECRYPT), "Unauthorized", "allow kms:Decrypt for the key."),
        (s3_error(403, "AccessDenied", ANOTHER_KEY), "Unauthorized", "allow kms:Decrypt for the key."),
        (s3_error(400, "IllegalLocationConstraintException", NO_CLUE), "NotFound", "region."),
        (s3_error(400, "AuthorizationQueryParametersError", NO_CLUE), "Incomplete", "S3 refuses."),
        (s3_error(403, "InvalidAccessKeyId", NO_CLUE), "Unauthorized", "check the credentials."),
        (s3_error(403, "SignatureDoesNotMatch", NO_CLUE), "Unauthorized", "check the credentials."),
        (s3_error(403, "AccountProblem", NO_CLUE), "Unauthorized", "AccountProblem"),
        (s3_error(403, "AllAccessDisabled", NO_CLUE), "Unauthorized", "AllAccessDisabled"),
        (s3_error(403, "InvalidObjectState", NO_CLUE), "Incomplete", "restore the objects."),
        (s3_error(405, "MethodNotAllowed", NO_CLUE), "Incomplete", "405"),
        (s3_error(409, "OperationAborted", NO_CLUE), "Incomplete", "409"),
        (s3_error(409, "InvalidBucketState", NO_CLUE), "NotFound", "409"),
        (s3_error(412, "PreconditionFailed", NO_CLUE), "Incomplete", "412"),
        (s3_error(413, "EntityTooLarge", NO_CLUE), "Incomplete", "413"),
        (s3_error(418, "New", NO_CLUE), "Incomplete", "418"),
        (s3_error(501, "NotImplemented", "A header implies functionality that is not there"), "Incomplete", "501"),
        (page(400), "Unreachable", "not S3"),
        (page(401), "Unreachable", "not S3"),
        (page(403, LOGIN), "Unreachable", "not S3"),
        (page(404), "NotFound", "endpointUrl"),
        (page(404, LOGIN), "NotFound", "endpointUrl"),
        (page(404, b'{"message":"no Route matched"}', "application/json"), "NotFound", "endpointUrl"),
        (page(404, b"404 page not found", "text/plain"), "NotFound", "endpointUrl"),
        (Answer(401, b""), "Unauthorized", "401"),
        (Answer(403, b""), "Unauthorized", "s3:ListBucket"),
        (Answer(404, b""), "NotFound", "404"),
        (Answer(307, b""), "Unreachable", "not S3"),
        (Answer(308, b""), "Unreachable", "not S3"),
        (page(407), "Unreachable", "not S3"),
        (page(501), "Incomplete", "501"),
    ],
)
def test_a_permanent_answer_ends_it_at_once(
    fetch: InitContainer, s3: FaultyProxy, fault: Fault, reason: str, said: str
) -> None:
    s3.inject(fault, when=Request.is_download if reason == "Incomplete" else Request.is_listing)
    outcome = fetch()
    assert outcome.reason == reason
    assert said in outcome.message.message
    assert ("kms" in said) == ("kms:Decrypt for" in outcome.message.message)
    assert "retrying" not in outcome.log


PASSING = [
    (s3_error(400, "ExpiredToken", NO_CLUE), "Unauthorized, retrying: ERROR .*ExpiredToken"),
    (s3_error(400, "TokenRefreshRequired", NO_CLUE), "Unauthorized, retrying: ERROR .*TokenRefresh"),
    (s3_error(403, "RequestTimeTooSkewed", NO_CLUE), "Unauthorized, retrying: set the clock of the node. .*Skewed"),
    (s3_error(400, "ThrottlingException", NO_CLUE), "Unreachable, retrying: ERROR .*Throttling"),
    (s3_error(400, "RequestTimeout", NO_CLUE), "Unreachable, retrying: ERROR .*RequestTimeout"),
    *(
        (s3_error(status, "New", NO_CLUE), f"Unreachable, retrying: ERROR .*New.* code: {status}")
        for status in (408, 429)
    ),
    *((page(status), f"Unreachable, retrying: ERROR .* code: {status}") for status in (429, 500, 502, 503, 520)),
]


@pytest.mark.parametrize("what", [Request.is_listing, Request.is_download], ids=["listing", "download"])
def test_answers_that_may_pass_are_waited_for(
    fetch: InitContainer, s3: FaultyProxy, what: Callable[[Request], bool]
) -> None:
    for fault, _ in PASSING:
        s3.inject(fault, when=what, times=1)
    outcome = fetch(limit=600, flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Complete"
    waits = [line for line in outcome.log.splitlines() if "retrying" in line]
    assert len(waits) == len(PASSING)
    for wait, (_, said) in zip(waits, PASSING, strict=True):
        assert re.match(said, wait)


@pytest.mark.parametrize(
    "fault",
    [
        page(200),
        page(200, LOGIN),
        page(200, b'{"login":"/login"}', "application/json"),
        page(200, b"default backend", "text/plain"),
        page(301),
        page(302, LOGIN, Location="/login"),
    ],
    ids=["tidy", "untidy", "json", "text", "moved", "redirected"],
)
def test_a_page_in_place_of_a_listing_is_not_s3(fetch: InitContainer, s3: FaultyProxy, fault: Fault) -> None:
    s3.inject(fault, when=Request.is_listing)
    s3.inject(page(200, LOGIN), when=lambda request: request.target == "/login")
    outcome = fetch()
    assert outcome.reason == "Unreachable"
    assert "not S3: check endpointUrl" in outcome.message.message
    assert "retrying" not in outcome.log


@pytest.mark.parametrize("code", ["ExpiredToken", "TokenRefreshRequired"])
def test_an_expired_token_in_the_environment_ends_it_at_once(fetch: InitContainer, s3: FaultyProxy, code: str) -> None:
    s3.inject(s3_error(400, code, NO_CLUE), when=Request.is_listing)
    outcome = fetch(env={"AWS_SESSION_TOKEN": "of/a=Secret"})
    assert outcome.reason == "Unauthorized"
    assert code in outcome.message.message
    assert "retrying" not in outcome.log
    assert "of/a=Secret" not in outcome.log


def test_https_to_a_port_that_speaks_http_is_not_s3(fetch: InitContainer, store: Store) -> None:
    outcome = fetch(env={"S3_ENDPOINT_URL": store.url.replace("http:", "https:")})
    assert outcome.reason == "Unreachable"
    assert "HTTP response to HTTPS client" in outcome.message.message
    assert "retrying" not in outcome.log


@pytest.mark.parametrize(("status", "said"), [(403, "the proxy refuses"), (407, "proxy, caBundle")])
def test_a_proxy_that_opens_no_tunnel_ends_it_at_once(
    fetch: InitContainer, s3: FaultyProxy, status: int, said: str
) -> None:
    s3.refusal = status
    outcome = fetch(env={"S3_ENDPOINT_URL": "https://s3.models.test", "HTTPS_PROXY": s3.url})
    assert outcome.reason == "Unreachable"
    assert said in outcome.message.message
    assert "retrying" not in outcome.log


def test_a_proxy_that_is_overloaded_is_asked_again(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.refusal = 503
    env = {"S3_ENDPOINT_URL": "https://s3.models.test", "HTTPS_PROXY": s3.url}
    outcome = fetch(flags=NO_RETRY, skip_pauses=True, env=env)
    assert outcome.reason == "Unreachable"
    assert "retrying" in outcome.log
