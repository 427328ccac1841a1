"""The command and the table [metrics], beside a real run."""

import re
import urllib.request

from h5daq.cli import main


def test_metrics_are_printed_once(lasting, capsys):
    assert main(["metrics", "--directory", str(lasting), "--once"]) == 0
    assert 'h5daq_run_info{durability="fsync",name="lab"' in capsys.readouterr().out


def test_a_run_serves_its_metrics_if_its_configuration_says_so(start, lab):
    lab.write_text(lab.read_text().replace("[[jobs]]", "[metrics]\nport = 0\n\n[[jobs]]", 1))
    run = start("run", lab, "--quiet")
    run.until_said("/metrics")
    url = re.search(r"http://\S+", run.out)[0]
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert b"h5daq_up 1.0" in reply.read()


def test_who_is_to_be_told_of_a_silent_writer_must_stand_in_the_configuration(lab, data, capsys):
    words = ["metrics", "--connect", "tcp://127.0.0.1:9", "--port", "0", "--alarms", str(lab)]
    assert main(words) == 2
    assert "neither a command nor a webhook" in capsys.readouterr().err
