"""Each reason of the contract, provoked for real. What a user reads is the termination message."""

from collections.abc import Callable

import pytest

from tests.fetching.conftest import Model
from tests.support import moto_s3, mounts
from tests.support.container import NO_RETRY, InitContainer
from tests.support.faults import ACCESS_DENIED, SLOW_DOWN, Drop, Fault, Request, Stall, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder

MIB = 1024 * 1024


def everything(_: Request) -> bool:
    return True


@pytest.fixture
def one_file(model: Model) -> None:
    model.write({"a": b"x"})


def test_a_bucket_that_is_not_there_is_not_found(fetch: InitContainer) -> None:
    outcome = fetch(uri="s3://no-such-bucket/model-artifacts/my-model-1.2.3/*")
    assert outcome.reason == "NotFound"
    assert "NoSuchBucket" in outcome.message.message


def test_a_version_that_is_not_there_is_not_found(fetch: InitContainer, model: Model) -> None:
    model.write({"a": b"x"})
    outcome = fetch(uri=f"s3://{model.bucket}/model-artifacts/my-model-9.9.9/*")
    assert outcome.reason == "NotFound"
    assert "version" in outcome.message.message


ELSEWHERE = "the region 'us-east-1' is wrong; expecting 'eu-west-1'"


@pytest.mark.usefixtures("one_file")
@pytest.mark.parametrize("what", [everything, Request.is_download], ids=["all", "download"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (s3_error(301, "PermanentRedirect", ELSEWHERE), "BucketRegionError"),
        (s3_error(400, "AuthorizationHeaderMalformed", ELSEWHERE), "AuthorizationHeaderMalformed"),
    ],
    ids=["redirected", "malformed"],
)
def test_a_bucket_of_another_region_is_not_found(
    fetch: InitContainer, s3: FaultyProxy, what: Callable[[Request], bool], fault: Fault, said: str
) -> None:
    s3.inject(fault, when=what)
    outcome = fetch()
    assert outcome.reason == "NotFound"
    assert "region." in outcome.message.message
    assert said in outcome.message.message
    assert "retrying" not in outcome.log


def test_a_wrong_secret_key_is_unauthorized(fetch: InitContainer, model: Model) -> None:
    model.write({"a": b"x"})
    outcome = fetch(env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert outcome.reason == "Unauthorized"
    assert "SignatureDoesNotMatch" in outcome.message.message


def test_an_unknown_access_key_is_unauthorized(fetch: InitContainer, model: Model) -> None:
    model.write({"a": b"x"})
    assert fetch(env={"AWS_ACCESS_KEY_ID": "AKIAUNKNOWNEXAMPLE00"}).reason == "Unauthorized"


def test_who_may_list_but_not_read_is_unauthorized(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write({"a": b"x"})
    s3.inject(ACCESS_DENIED, when=Request.is_download)
    outcome = fetch()
    assert outcome.reason == "Unauthorized"
    assert "s3:GetObject" in outcome.message.message


@pytest.mark.parametrize("actions", [("s3:ListBucket",), ("s3:GetObject",)])
def test_a_role_without_one_of_the_permissions_is_unauthorized(
    fetch: InitContainer, moto: moto_s3.MotoBucket, actions: tuple[str, ...]
) -> None:
    moto.put("m-1/a", b"x")
    keys = moto_s3.make_user(moto.url, *actions)
    with moto_s3.checking_permissions():
        outcome = fetch(uri=f"s3://{moto.name}/m-1/*", env={"S3_ENDPOINT_URL": moto.url, **keys})
    assert outcome.reason == "Unauthorized"
    assert "403" in outcome.message.message


def test_a_role_with_both_permissions_is_enough(fetch: InitContainer, moto: moto_s3.MotoBucket) -> None:
    moto.put("m-1/a", b"x")
    keys = moto_s3.make_user(moto.url, "s3:ListBucket", "s3:GetObject")
    with moto_s3.checking_permissions():
        outcome = fetch(uri=f"s3://{moto.name}/m-1/*", env={"S3_ENDPOINT_URL": moto.url, **keys})
    assert outcome.reason == "Complete"


def test_an_endpoint_that_refuses_connections_is_unreachable(fetch: InitContainer) -> None:
    outcome = fetch(flags=NO_RETRY, skip_pauses=True, env={"S3_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert outcome.reason == "Unreachable"
    assert "connection refused" in outcome.message.message


def test_an_endpoint_whose_name_does_not_resolve_is_unreachable(fetch: InitContainer) -> None:
    assert fetch(flags=NO_RETRY, skip_pauses=True, env={"S3_ENDPOINT_URL": "http://s3.invalid"}).reason == "Unreachable"


def test_an_s3_that_stops_answering_in_the_middle_is_unreachable(
    fetch: InitContainer, model: Model, s3: FaultyProxy
) -> None:
    model.write({f"{n}": b"x" for n in range(10)})
    s3.inject(Drop(), when=lambda request: request.is_download() and s3.count(Request.is_download) > 3)
    assert fetch(flags=NO_RETRY, skip_pauses=True).reason == "Unreachable"


def test_a_volume_that_is_too_small_is_out_of_space(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write({"large": b"x" * (2 * MIB)})
    volume.path.mkdir()
    outcome = fetch(inside=mounts.tmpfs(volume.path, "size=1m"))
    assert outcome.reason == "OutOfSpace"
    assert "size-limit" in outcome.message.message


def test_a_volume_that_takes_no_files_is_incomplete(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write({"a": b"x"})
    volume.path.mkdir()
    outcome = fetch(inside=mounts.tmpfs(volume.path, "ro"))
    assert outcome.reason == "Incomplete"
    assert "read-only" in outcome.message.message


def test_a_folder_that_cannot_be_made_is_incomplete(fetch: InitContainer, volume: Folder) -> None:
    volume.path.write_text("a file where the folder should be")
    outcome = fetch()
    assert outcome.reason == "Incomplete"
    assert "cannot write" in outcome.message.message


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_objects_are_incomplete(
    fetch: InitContainer, moto: moto_s3.MotoBucket, volume: Folder, storage_class: str
) -> None:
    moto.put("m-1/here", b"x")
    moto.put("m-1/archived", b"x", storage_class)
    outcome = fetch(uri=f"s3://{moto.name}/m-1/*", env={"S3_ENDPOINT_URL": moto.url})
    assert outcome.reason == "Incomplete"
    assert "restore" in outcome.message.message
    assert "archived" not in volume.names()


@pytest.mark.parametrize("after", [0, 1000])
def test_a_transfer_that_stalls_is_timed_out_at_the_limit(
    fetch: InitContainer, model: Model, s3: FaultyProxy, after: int
) -> None:
    model.write({"a": b"x" * 100_000})
    s3.inject(Stall(after), when=Request.is_download)
    outcome = fetch(limit=5)  # the script may wait a second for S3's clock before it starts the transfer
    assert outcome.reason == "TimedOut"
    assert outcome.seconds < 5 + 3
    assert "timeout" in outcome.message.message


def test_a_listing_that_stalls_is_timed_out_at_the_limit(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write({"a": b"x"})
    s3.inject(Stall(), when=Request.is_listing)
    outcome = fetch(limit=2)
    assert outcome.reason == "TimedOut"
    assert outcome.seconds < 2 + 3


NASTY = [
    'say "no" \\ and \\" and \\n and \\u0041',
    "first line\nsecond line\r\nthird\tline",
    "Zugriff verweigert: für 模型 \N{PILE OF POO} \x7f \x85",
    "%s %d %n $(date) `date` ${HOME} * ? [a-z] ' \"",
    '"},{"reason":"Complete","message":"' * 400,
]


@pytest.mark.parametrize("text", NASTY, ids=["quotes", "lines", "unicode", "shell", "long"])
@pytest.mark.parametrize(("status", "reason"), [(403, "Unauthorized"), (500, "Unreachable")])
def test_whatever_a_server_says_the_termination_message_is_json(
    fetch: InitContainer, s3: FaultyProxy, text: str, status: int, reason: str
) -> None:
    s3.inject(s3_error(status, "Nasty", text), when=Request.is_listing)
    outcome = fetch(flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == reason
    assert f"\n{reason}: " in f"\n{outcome.log}"


WORDS = ["quota", "match", "skilled", "Glacier", "no space", "Expired", "NoSuch", "no object", "no denied"]


@pytest.mark.parametrize("word", WORDS)
def test_a_reason_is_not_read_off_the_models_name(
    fetch: InitContainer, model: Model, s3: FaultyProxy, word: str
) -> None:
    s3.inject(SLOW_DOWN, when=Request.is_listing)
    outcome = fetch(uri=f"s3://{model.bucket}/{word}-1.0/*", flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Unreachable"


@pytest.mark.parametrize("word", [*WORDS, "Region", "Malformed", "exists"])
def test_a_reason_is_not_read_off_the_url_of_a_connection_that_broke(
    fetch: InitContainer, model: Model, s3: FaultyProxy, word: str
) -> None:
    s3.inject(Drop(), when=Request.is_listing)
    outcome = fetch(uri=f"s3://{model.bucket}/{word}-1.0/*", flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Unreachable"
