"""The command: what it prints, and how it refuses to be open to all."""

import re
import urllib.request

import pytest

from h5daq.cli import main

pytestmark = pytest.mark.processes


def test_the_page_is_served_and_its_addresses_are_printed_once(running, data, start):
    web = start("web", "--directory", data, "--port", "0")
    web.until_said("control:")
    look, control = re.findall(r"http://127\.0\.0\.1:\d+/\S*", web.out)
    assert re.fullmatch(re.escape(look) + r"#token=[\w-]{43}", control)
    with urllib.request.urlopen(look, timeout=60) as reply:
        assert b"<title>h5daq</title>" in reply.read()
    assert web.end(15) == 0
    assert "token" not in web.err


def test_a_token_of_ones_own_is_read_from_a_file_that_others_can_not_read(tmp_path, capsys):
    path = tmp_path / "token"
    path.write_text("sixteen characters and more\n")
    path.chmod(0o644)
    words = ["web", "--directory", str(tmp_path), "--port", "0", "--token-file", str(path)]
    assert main(words) == 2
    assert f"chmod 600 {path}" in capsys.readouterr().err
    path.write_text("short")
    path.chmod(0o600)
    assert main(words) == 2
    assert "16 characters" in capsys.readouterr().err


def test_other_addresses_than_loopback_take_tls_or_a_word(capsys):
    assert main(["web", "--host", "0.0.0.0"]) == 2
    assert "--certificate" in capsys.readouterr().err
