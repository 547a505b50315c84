import pytest

from onebit.secrets import holds_password, without_passwords


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ssh://pi:hunter2@board:22", "ssh://pi:***@board:22"),
        ("pi:hunter2@board", "pi:***@board"),
        ("ssh://pi:hun/ter@2@board", "ssh://pi:***@board"),
        ("ssh://serial:/hunter2@board", "ssh://serial:***@board"),
        ("serial:/dev/x@9600 ssh://pi:hunter2@board", "serial:/dev/x@9600 ssh://pi:***@board"),
        ("https://a:b@host/x.tflite is missing", "https://a:***@host/x.tflite is missing"),
        ("edge bench --device 'ssh://pi:x@[fe80::1]:22' a", None),
        ("ProxyJump=pi:hunter2@gate", "ProxyJump=pi:***@gate"),
        ("sshpass -p 'hun ter2' ssh pi@board", "sshpass -p *** ssh pi@board"),
        ("sshpass -phunter2 ssh", "sshpass -p*** ssh"),
        ("--password hunter2 --x", "--password *** --x"),
        ("--api-key=hunter2", "--api-key=***"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=***"),
        ("password: hunter2", "password: ***"),
    ],
)
def test_password_is_masked(text, masked):
    found = without_passwords(text)
    assert "hunter2" not in found
    assert holds_password(text)
    if masked is not None:
        assert found == masked
    assert without_passwords(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "ssh://pi@board:22",
        "ssh://[fe80::1%eth0]:22",
        "adb:10.0.0.7:5555",
        "git@github.com:a/b",
        "Permission denied (publickey,password).",
        "12:30 mail me@x.com",
        "a token of 3 words; the password is wrong",
        "--set tokens=3",
        "ProxyJump=pi@gate:22",
        "error: rows.jsonl, line 3: x@y",
        "edge bench m --device serial:/dev/ttyUSB0@921600 --device=serial:/dev/x@9600",
        "write (serial:/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0@BAUD)",
    ],
)
def test_text_without_a_password_stays(text):
    assert without_passwords(text) == text
    assert not holds_password(text)
