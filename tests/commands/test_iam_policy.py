"""`model-injector iam-policy`."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from tests.support import iam, moto_s3, programs
from tests.support.command_line import run
from webhook.aws.iam import partition
from webhook.aws.pod_identity import Association
from webhook.catalog.bucket.listing import ModelListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import VersionKey
from webhook.settings.loading import load

ROLE = "arn:aws:iam::111122223333:role/models"
ARN = "arn:aws:eks:us-east-1:111122223333:podidentityassociation/my-cluster/a-1"
ASSOCIATION = Association("my-cluster", "apps", "my-inference-app", ROLE)
ACCOUNT = {"clusterName": "my-cluster", "namespace": "apps", "serviceAccount": "my-inference-app"}
OPTIONS = ("--cluster", "my-cluster", "--namespace", "apps", "--service-account", "my-inference-app")
KEYS = ("my-model-1.2.3/a", "my-model-1.2.3/sub/b", "my-model-v2/a", "my-model-large-1.0.0/a", "my-model-blue/a")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(moto: str) -> moto_s3.MotoBucket:
    bucket = moto_s3.make_bucket(moto)
    for key in KEYS:
        bucket.put(f"model-artifacts/{key}", b"x")
    return bucket


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes settings; gives the file's name."""

    def written(**settings: object) -> str:
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump({"bucket": "my-ml-bucket", "prefix": "model-artifacts", **settings}))
        return str(file)

    return written


def printed(*arguments: str) -> dict[str, Any]:
    done = run("iam-policy", *arguments)
    assert done.returncode == 0, done.stderr
    policy: dict[str, Any] = json.loads(done.stdout)
    return policy


class Reader:
    """Someone with a policy, and what S3 lets them do."""

    def __init__(self, bucket: moto_s3.MotoBucket, policy: dict[str, Any]) -> None:
        self.env = moto_s3.make_user_with(bucket.url, policy)
        self._bucket = bucket.name
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=bucket.url,
            region_name="us-east-1",
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def may_list(self, folder: str) -> bool:
        return self._may("list_objects_v2", Prefix=f"model-artifacts/{folder}")

    def may_get(self, key: str) -> bool:
        return self._may("get_object", Key=f"model-artifacts/{key}")

    def may_put(self, key: str) -> bool:
        return self._may("put_object", Key=f"model-artifacts/{key}", Body=b"")

    def may_list_without_a_prefix(self) -> bool:
        return self._may("list_objects_v2")

    def _may(self, action: str, **arguments: object) -> bool:
        try:
            getattr(self._client, action)(Bucket=self._bucket, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True

    def close(self) -> None:
        self._client.close()


def test_a_pod_reads_every_version_of_its_model_and_nothing_else(
    bucket: moto_s3.MotoBucket, write: Callable[..., str]
) -> None:
    policy = printed("my-model", "--config", write(bucket=bucket.name))
    with closing(Reader(bucket, policy)) as pod, iam.evaluated():
        assert [key for key in KEYS if pod.may_get(key)] == [*KEYS[:3]]
        assert pod.may_list("my-model-1.2.3/")
        assert pod.may_list("my-model-v2/")
        assert not pod.may_list("my-model-large-1.0.0/")
        assert not pod.may_list("my-model-")
        assert not pod.may_list("")
        assert not pod.may_list_without_a_prefix()
        assert not pod.may_put("my-model-1.2.3/a")


def test_an_exact_version_is_that_alone(bucket: moto_s3.MotoBucket, write: Callable[..., str]) -> None:
    bucket.put("model-artifacts/my-model-1.2.30/a", b"x")
    bucket.put("model-artifacts/my-model-1x2.3/a", b"x")
    policy = printed("my-model@1.2.3", "--config", write(bucket=bucket.name))
    with closing(Reader(bucket, policy)) as pod, iam.evaluated():
        assert pod.may_get("my-model-1.2.3/sub/b")
        assert pod.may_list("my-model-1.2.3/")
        for folder in ("my-model-1.2.30/", "my-model-1x2.3/", "my-model-v2/"):
            assert not pod.may_list(folder)
            assert not pod.may_get(f"{folder}a")


def test_the_layout_of_folders_in_folders_covers_any_version(
    bucket: moto_s3.MotoBucket, write: Callable[..., str]
) -> None:
    for key in ("my-model/blue/a", "my-model-2/1.0.0/a"):
        bucket.put(f"model-artifacts/{key}", b"x")
    policy = printed("my-model", "--config", write(bucket=bucket.name, layout="{model}/{version}"))
    with closing(Reader(bucket, policy)) as pod, iam.evaluated():
        assert pod.may_list("my-model/blue/")
        assert pod.may_get("my-model/blue/a")
        assert not pod.may_list("my-model-2/1.0.0/")
        assert not pod.may_get("my-model-2/1.0.0/a")


def test_s5cmd_needs_no_more(bucket: moto_s3.MotoBucket, write: Callable[..., str], tmp_path: Path) -> None:
    keys = moto_s3.make_user_with(bucket.url, printed("my-model@1.2.3", "--config", write(bucket=bucket.name)))
    environment = {**os.environ, **keys, "S3_ENDPOINT_URL": bucket.url, "AWS_REGION": "us-east-1"}

    def fetch(folder: str) -> subprocess.CompletedProcess[str]:
        source = f"s3://{bucket.name}/model-artifacts/{folder}/*"
        command: list[str | Path] = [programs.s5cmd(), "--retry-count", "0", "cp", source, f"{tmp_path}/{folder}/"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    with iam.evaluated():
        done, denied = fetch("my-model-1.2.3"), fetch("my-model-v2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "my-model-1.2.3" / "sub" / "b").read_bytes() == b"x"
    assert "AccessDenied" in denied.stderr


def test_several_models_are_one_policy(write: Callable[..., str]) -> None:
    _, reading = printed("encoder@2.0.0", "my-org/ranker@1", "--config", write())["Statement"]
    assert reading["Resource"] == [
        "arn:aws:s3:::my-ml-bucket/model-artifacts/encoder-2.0.0/*",
        "arn:aws:s3:::my-ml-bucket/model-artifacts/my-org/ranker-1/*",
    ]


def test_a_session_tag_restricts_a_policy_to_its_namespaces(
    bucket: moto_s3.MotoBucket, write: Callable[..., str]
) -> None:
    policy = printed("my-model", "--namespaces", "apps,ml", "--config", write(bucket=bucket.name))
    assert all(
        statement["Condition"]["StringEquals"] == {"aws:PrincipalTag/kubernetes-namespace": ["apps", "ml"]}
        for statement in policy["Statement"]
    )
    with closing(Reader(bucket, policy)) as pod:
        for tags, expected in (
            ({"kubernetes-namespace": "ml"}, True),
            ({"kubernetes-namespace": "x"}, False),
            ({}, False),
        ):
            with iam.evaluated(tags):
                assert pod.may_get("my-model-1.2.3/a") is expected
                assert pod.may_list("my-model-1.2.3/") is expected


def test_a_policy_may_be_for_one_service_account_of_one_cluster(write: Callable[..., str]) -> None:
    _, reading = printed("my-model", *OPTIONS, "--config", write())["Statement"]
    assert reading["Condition"]["StringEquals"] == {
        "aws:PrincipalTag/eks-cluster-name": ["my-cluster"],
        "aws:PrincipalTag/kubernetes-namespace": ["apps"],
        "aws:PrincipalTag/kubernetes-service-account": ["my-inference-app"],
    }


def test_the_trust_policy_is_for_pod_identity_and_whom_it_names() -> None:
    (anyone,) = printed("--trust")["Statement"]
    assert anyone == {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    (some,) = printed("--trust", "--namespace", "apps")["Statement"]
    assert some["Condition"] == {"StringEquals": {"aws:RequestTag/kubernetes-namespace": ["apps"]}}


@pytest.mark.parametrize("prefix", ["model-artifacts", ""])
def test_the_webhook_reads_its_catalog_and_no_file(
    bucket: moto_s3.MotoBucket, write: Callable[..., str], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{prefix}/" if prefix else ""
    bucket.put(f"{root}ranker-1.0.0/config.json", b"{}")
    bucket.put(f"{root}.aliases/ranker.json", b'{"champion": "1.0.0"}')
    withdrawal = {"reason": "a wrong tokenizer", "at": "2026-05-01T10:00:00Z"}
    bucket.put(f"{root}.withdrawn/ranker.json", json.dumps({"1.0.0": withdrawal}).encode())
    bucket.put(f"{root}.publishing/ranker-2.0.0", b"")
    bucket.put(f"{root}ranker-2.0.0/config.json", b"{}")
    bucket.put(f"{root}my-model-1.2.3/manifest.json", b"no manifest")
    catalog = {"mode": "s3"}
    file = write(bucket=bucket.name, prefix=prefix, region="us-east-1", endpointUrl=bucket.url, catalog=catalog)
    with closing(Reader(bucket, printed("--webhook", "--config", file))) as webhook, iam.evaluated():
        for name, value in webhook.env.items():
            monkeypatch.setenv(name, value)
        reader = S3Catalog(load(Path(file)))
        with closing(reader):
            names = reader.list_source("default")
            assert tuple(names.models["ranker"].newest()) == ("2.0.0", "1.0.0")
            assert names.aliases["ranker"].versions == {"champion": "1.0.0"}
            assert names.withdrawn_versions("ranker") == {"1.0.0"}
            assert not names.problems
            found = [reader.look_up(VersionKey("default", "ranker", f"{n}.0.0")) for n in (1, 2, 3)]
            assert [getattr(each, "state", None) for each in found] == ["unmanaged", "unfinished", "absent"]
            odd = reader.look_up(VersionKey("default", "my-model", "1.2.3"))
            assert isinstance(odd, VersionStatus)
            assert "manifest.json is not a manifest" in odd.error
            model = reader.look_up(VersionKey("default", "ranker", ""))
            assert isinstance(model, ModelListing)
            assert tuple(model.versions.newest()) == ("2.0.0", "1.0.0")
        assert not webhook.may_get("my-model-1.2.3/a")
        assert not webhook.may_put("my-model-1.2.3/manifest.json")


def test_the_webhook_lists_under_its_prefix_alone(bucket: moto_s3.MotoBucket, write: Callable[..., str]) -> None:
    bucket.put("secret/a", b"x")
    policy = printed("--webhook", "--config", write(bucket=bucket.name, prefix="other", catalog={"mode": "s3"}))
    with closing(Reader(bucket, policy)) as webhook, iam.evaluated():
        assert not webhook.may_list("my-model-1.2.3/")


def test_the_webhook_reads_tags_only_where_one_is_required(write: Callable[..., str]) -> None:
    without = printed("--webhook", "--config", write(catalog={"mode": "s3"}))
    assert all("s3:GetObjectTagging" not in statement["Action"] for statement in without["Statement"])
    tagged = printed("--webhook", "--config", write(catalog={"mode": "s3", "requiredTag": "published=true"}))
    assert tagged["Statement"][-1] == {
        "Effect": "Allow",
        "Action": ["s3:GetObjectTagging"],
        "Resource": ["arn:aws:s3:::my-ml-bucket/model-artifacts/*/manifest.json"],
    }


def test_the_webhook_needs_all_sources_that_are_signed_for(write: Callable[..., str]) -> None:
    sources = {"research": {"bucket": "research-bucket"}, "public": {"bucket": "public-bucket", "anonymous": True}}
    policy = json.dumps(printed("--webhook", "--config", write(catalog={"mode": "s3"}, sources=sources)))
    assert "my-ml-bucket" in policy
    assert "arn:aws:s3:::research-bucket" in policy
    assert "public-bucket" not in policy


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
        ("garage", "aws"),
        ("", "aws"),
    ],
)
def test_the_partition_is_the_regions(region: str, expected: str) -> None:
    assert partition(region) == expected


def test_an_arn_names_the_partition(write: Callable[..., str]) -> None:
    listing, reading = printed("my-model@1.2.3", "--config", write(region="cn-north-1"))["Statement"]
    assert listing["Resource"] == ["arn:aws-cn:s3:::my-ml-bucket"]
    assert reading["Resource"] == ["arn:aws-cn:s3:::my-ml-bucket/model-artifacts/my-model-1.2.3/*"]


def test_an_access_point_has_arns_of_its_own(write: Callable[..., str]) -> None:
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-ap"
    listing, reading = printed("my-model@1.2.3", "--config", write(bucket=arn, region="eu-west-1"))["Statement"]
    assert listing["Resource"] == [arn]
    assert reading["Resource"] == [f"{arn}/object/model-artifacts/my-model-1.2.3/*"]


def test_an_alias_of_an_access_point_has_no_policy(write: Callable[..., str]) -> None:
    done = run("iam-policy", "my-model", "--config", write(bucket="my-ap-abc-s3alias"))
    assert done.returncode == 2
    assert "set bucket to the ARN of the access point" in done.stderr


def test_a_word_may_be_a_version_and_is_said_to_be_taken_for_one(write: Callable[..., str]) -> None:
    done = run("iam-policy", "my-model@blue", "--config", write())
    assert "model-artifacts/my-model-blue/*" in done.stdout
    assert done.stderr == "warning: blue is read as an exact version of my-model; for an alias, give my-model\n"


def test_what_the_page_shows_is_what_is_printed(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "iam.md").read_text()
    (settings,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "settings.yaml").write_text(settings)
    shown = re.findall(r"\$ model-injector iam-policy ([^\n]*) --config settings.yaml\n(\{.*?)```", page, re.DOTALL)
    assert len(shown) == 2
    for arguments, policy in shown:
        assert printed(*arguments.split(), "--config", str(tmp_path / "settings.yaml")) == json.loads(policy)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "give models, or one of --webhook, --trust and --associate"),
        (("my-model", "--webhook"), "give models, or one of"),
        (("--webhook", "--trust"), "not allowed with argument"),
        (("--webhook",), "the webhook needs no policy: with catalog.mode none it sends no requests to AWS"),
        (("my-model@",), "the meaning of '' can change"),
        (("my-model@@champion",), "give my-model, or an exact version"),
        (("my-model@latest",), "give my-model, or an exact version"),
        (("my-model@^1.2",), "give my-model, or an exact version"),
        (("my-*",), "'my-*' is not allowed; write a model's name"),
        (("${aws:username}",), "contains the placeholder"),
        (("my-model", "--source", "archive"), "'archive' is not allowed; write default or public"),
        (("my-model", "--source", "public"), "no policy is needed: source public is anonymous"),
        (("my-model", "--namespace", "apps,*"), "'apps,*' is not comma-separated namespaces"),
        (("my-model", "--cluster", "my cluster"), "'my cluster' is not the name of an EKS cluster"),
        (("my-model", "--role-arn", ROLE), "--role-arn is for --associate"),
        (("--associate", "--cluster", "my-cluster"), "also needs --namespace, --service-account, --role-arn"),
        (("--associate", *OPTIONS, "--namespace", "apps,ml", "--role-arn", ROLE), "takes one namespace"),
        (("--associate", *OPTIONS, "--role-arn", "models"), "'models' is not a role's ARN"),
    ],
)
def test_bad_input_is_a_line_and_status_2(write: Callable[..., str], arguments: tuple[str, ...], line: str) -> None:
    file = write(sources={"public": {"bucket": "public-bucket", "anonymous": True}})
    done = run("iam-policy", *arguments, "--config", file)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert not done.stdout
