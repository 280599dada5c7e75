"""`model-injector certs`."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from certs import Authority, ServingCertificate, parse_bundle, verification_error
from tests.support.command_line import run


def issued(folder: Path) -> ServingCertificate:
    return ServingCertificate((folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes())


def test_what_is_issued_is_trusted_by_who_has_its_authority(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tls"
    done = run("certs", "issue", str(folder), "--host", "webhook.local", "--host", "10.0.0.1", "--lifetime", "48h")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(folder / name) for name in ("ca.crt", "tls.crt", "tls.key")]
    bundle, now = (folder / "ca.crt").read_bytes(), datetime.now(UTC)
    assert verification_error(issued(folder), bundle, "webhook.local", now) is None
    assert verification_error(issued(folder), bundle, "10.0.0.1", now) is None
    assert "expired" in str(verification_error(issued(folder), bundle, "webhook.local", now + timedelta(hours=49)))


def test_a_key_is_its_owners_alone_even_where_the_old_one_was_not(tmp_path: Path) -> None:
    (tmp_path / "tls.key").write_text("old")
    (tmp_path / "tls.key").chmod(0o666)
    assert run("certs", "issue", str(tmp_path)).returncode == 0
    assert stat.S_IMODE((tmp_path / "tls.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]


def test_with_settings_the_files_are_where_the_webhook_reads_them(tmp_path: Path) -> None:
    settings = {
        "bucket": "my-ml-bucket",
        "certificates": {"hosts": ["injector.internal"]},
        "server": {"tlsCert": str(tmp_path / "cert.pem"), "tlsKey": str(tmp_path / "key.pem")},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    assert run("certs", "issue", "--config", str(tmp_path / "settings.yaml")).returncode == 0
    leaf = ServingCertificate((tmp_path / "cert.pem").read_bytes(), (tmp_path / "key.pem").read_bytes())
    assert verification_error(leaf, (tmp_path / "ca.crt").read_bytes(), "injector.internal", datetime.now(UTC)) is None
    shown = run("certs", "show", "--config", str(tmp_path / "settings.yaml"))
    assert "hosts        injector.internal" in shown.stdout


def test_show_tells_what_matters_and_never_a_key(tmp_path: Path) -> None:
    authority = Authority.create()
    leaf = authority.issue(["localhost", "::1"], timedelta(days=9, hours=1))
    (tmp_path / "all.pem").write_bytes(leaf.key + leaf.certificate + authority.certificate)
    done = run("certs", "show", str(tmp_path / "all.pem"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["leaf", "authority"]
    assert "  hosts        localhost, ::1" in lines
    assert "  subject      CN=model-injector CA" in lines
    assert any(line.startswith("  valid until") and line.endswith(", 9 days from now") for line in lines)
    (certificate, _) = parse_bundle((tmp_path / "all.pem").read_bytes())
    assert f"  valid from   {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%SZ}" in lines
    assert "PRIVATE" not in done.stdout


def test_show_tells_of_one_that_is_over(tmp_path: Path) -> None:
    (tmp_path / "old.pem").write_bytes(Authority.create(now=datetime(2020, 1, 1, tzinfo=UTC)).certificate)
    assert "expired" in run("certs", "show", str(tmp_path / "old.pem")).stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("issue",), "give a FOLDER, or --config FILE"),
        (("issue", "/proc/nowhere"), "certs issue: "),
        (("issue", "x", "--lifetime", "soon"), "'soon' is not a duration"),
        (("show", "/nowhere"), "certs show: "),
        (("show", "/dev/null"), "/dev/null has no certificate"),
        ((), "ACTION"),
    ],
)
def test_bad_input_is_a_line_and_status_2(arguments: tuple[str, ...], line: str) -> None:
    done = run("certs", *arguments)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
