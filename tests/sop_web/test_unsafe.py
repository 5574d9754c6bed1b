"""What production refuses, value by value, and secrets that come from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sop_web.env import EnvironmentInvalid, read_environment
from sop_web.mail import MailSettings, mail_settings
from sop_web.secret_files import SECRET_NAMES
from sop_web.unsafe import unsafe_values
from tests.sop_web.test_settings import SAFE

STRONG = "q8Zr2Lw5Xv7Kt1Mn"
TURN = '[{"urls": ["turns:turn.example:5349"]}]'


def _problems(**changed: str) -> list[str]:
    return unsafe_values(read_environment({**SAFE, **changed}))


def test_safe_values_have_no_problem() -> None:
    assert _problems() == []
    assert _problems(SOP_ALLOWED_HOSTS=".example", SOP_PUBLIC_URL="https://fleet.example:8443") == []
    assert _problems(SOP_ICE_SERVERS=TURN, SOP_TURN_SECRET=STRONG) == []
    assert _problems(DATABASE_URL=f"postgresql://u:{STRONG}@db.lab.example/sop?sslmode=verify-full") == []
    assert _problems(DATABASE_URL="postgresql:///sop?host=/var/run/postgresql") == []
    assert _problems(REDIS_URL=f"rediss://:{STRONG}@cache.lab.example:6379/0") == []
    assert _problems(OBJECT_STORE_URL="s3://sop/fleet?endpoint=https://fleet.example:9443&region=us-east-1") == []
    assert _problems(SOP_SMTP_URL="smtp://mail.lab.example?from=sop@lab.example") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SOP_DEBUG": "1"}, "SOP_DEBUG must not be 1"),
        ({"SOP_SECRET_KEY": "short"}, "SOP_SECRET_KEY must be set to 50 random characters"),
        ({"SOP_SECRET_KEY": "k" * 60}, "SOP_SECRET_KEY must be set to 50 random characters"),
        ({"SOP_SECRET_KEY": "django-insecure-" + STRONG * 3}, "SOP_SECRET_KEY must be set to 50 random characters"),
        ({"SOP_PUBLIC_URL": "http://fleet.example"}, "SOP_PUBLIC_URL must begin with https://"),
        ({"SOP_PUBLIC_URL": "https://fleet.example/sop"}, "SOP_PUBLIC_URL must be an origin"),
        ({"SOP_ALLOWED_HOSTS": "*"}, "must name the hosts, not '*'"),
        ({"SOP_ALLOWED_HOSTS": ""}, "SOP_ALLOWED_HOSTS must be set"),
        ({"SOP_ALLOWED_HOSTS": "other.example"}, "must name the host of SOP_PUBLIC_URL, fleet.example"),
        ({"DATABASE_URL": ""}, "DATABASE_URL must be set"),
        ({"DATABASE_URL": "postgresql://sop:sop@postgres/sop"}, "DATABASE_URL needs a password"),
        ({"DATABASE_URL": "postgresql://sop@postgres/sop"}, "DATABASE_URL needs a password"),
        ({"DATABASE_URL": "postgresql://sop:changeme-0123456789@postgres/sop"}, "DATABASE_URL needs a password"),
        (
            {"DATABASE_URL": f"postgresql://u:{STRONG}@10.1.2.3/sop"},
            "DATABASE_URL leads to another network without TLS",
        ),
        ({"DATABASE_URL": f"postgresql://u:{STRONG}@db.lab.example/sop?sslmode=prefer"}, "without TLS: use sslmode"),
        ({"REDIS_URL": "redis://redis:6379/0"}, "REDIS_URL needs a password"),
        (
            {"REDIS_URL": f"redis://:{STRONG}@cache.lab.example:6379/0"},
            "REDIS_URL leads to another network without TLS",
        ),
        ({"SOP_ICE_SERVERS": TURN, "SOP_TURN_SECRET": "secret"}, "SOP_TURN_SECRET must be 16 random characters"),
        (
            {"SOP_ICE_SERVERS": '[{"urls": ["turn:t"], "username": "u", "credential": "p"}]'},
            "SOP_ICE_SERVERS: the credential of turn:t",
        ),
        ({"OBJECT_STORE_URL": "s3://sop/x?endpoint=http://s3:8333"}, "OBJECT_STORE_URL: the endpoint must be https://"),
        (
            {"SOP_EXPORT_DESTINATIONS": '{"lab": "s3://lab-bucket/x?endpoint=http://s3:8333"}'},
            "SOP_EXPORT_DESTINATIONS: lab: the endpoint must be https://",
        ),
        ({"SOP_SMTP_URL": "smtp://mail.lab.example?from=s@l.example&tls=none"}, "SOP_SMTP_URL must use TLS"),
    ],
)
def test_every_unsafe_value_is_named_alone(changed: dict[str, str], said: str) -> None:
    """One wrong value gives one sentence, which says what to set and repeats no secret."""
    problems = _problems(**changed)
    assert len(problems) == 1 and said in problems[0], problems
    assert STRONG not in problems[0]


def test_a_default_is_no_choice() -> None:
    """What nobody set is named too, though a developer's machine has a default for it."""
    said = " ".join(unsafe_values(read_environment({})))
    for name in ("SOP_SECRET_KEY", "SOP_PUBLIC_URL", "SOP_ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"):
        assert f"{name} must" in said


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_may_come_from_a_file(tmp_path: Path, name: str) -> None:
    values = {"SOP_SMTP_URL": "smtp://mail?from=s@l.example", **SAFE}
    wanted = values.pop(name, "from-a-file")
    (tmp_path / "secret").write_text(wanted + "\n")
    found = read_environment({**values, f"{name}_FILE": str(tmp_path / "secret")})
    assert getattr(found, name.removeprefix("SOP_").lower()) == wanted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "one line"),
        (b"a\nb\n", "one line"),
        (b"\xff\xfe", "no text"),
        (None, "No such file"),
        (b"x" * 70000, "one line"),
    ],
)
def test_a_secret_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EnvironmentInvalid, match=f"SOP_SECRET_KEY_FILE.*{said}"):
        read_environment({"SOP_SECRET_KEY_FILE": str(path)})


def test_an_empty_file_of_a_mail_server_is_none(tmp_path: Path) -> None:
    """Compose cannot leave a file out, and most labs begin without mail."""
    (tmp_path / "smtp_url").write_text("\n")
    assert read_environment({**SAFE, "SOP_SMTP_URL_FILE": str(tmp_path / "smtp_url")}).smtp_url == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("smtp://mail.example", "from must be one address"),
        ("smtp://mail.example?from=sop", "from must be one address"),
        ("smtp://mail.example?from=sop@lab.example%0ABcc:x@y.example", "from must be one address"),
        ("smtp://mail.example?from=a@b.example&from=", "from must be one address"),
        ("https://mail.example?from=sop@lab.example", "must look like"),
        ("smtp://:25?from=sop@lab.example", "must look like"),
        ("smtp://u:pass/word@mail.example?from=sop@lab.example", "must look like"),
        ("smtp://mail.example?from=sop@lab.example&tsl=none", "nothing else"),
        ("smtp://mail.example?from=sop@lab.example&tls=off", "tls is"),
        ("smtp://mail.example:99999?from=sop@lab.example", "port"),
        ("smtp://robot@mail.example?from=sop@lab.example", "go together"),
        ("smtp://:hunter2@mail.example?from=sop@lab.example", "go together"),
    ],
)
def test_a_mail_server_that_is_none_is_refused(url: str, problem: str) -> None:
    """A typing error must not mean 'without TLS' or 'without a password'; what is said repeats no password."""
    with pytest.raises(EnvironmentInvalid, match=problem) as caught:
        mail_settings(url)
    assert "hunter2" not in str(caught.value) and "pass/word" not in str(caught.value)


def test_a_mail_server_is_read() -> None:
    found = mail_settings("smtp://u%40x:p%2Fw@mail.example?from=sop@lab.example&tls=implicit")
    assert found == MailSettings("sop@lab.example", "mail.example", 465, "u@x", "p/w", "implicit")


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentInvalid, match="both set"):
        read_environment({"SOP_SECRET_KEY": "a", "SOP_SECRET_KEY_FILE": str(tmp_path)})
