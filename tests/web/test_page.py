"""The page and its uploads, by HTTP."""

from __future__ import annotations

import html
import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import click
import pytest
from click.testing import CliRunner

from cloud_model.cli import cloud

UPLOAD = {"Content-Type": "application/octet-stream"}
NACL = (Path(__file__).parents[2] / "examples" / "NaCl.cif").read_bytes()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def report(self) -> dict:
        return json.loads(re.search(r'id="report-data">(.*?)</script>', self.text, re.DOTALL)[1])


@pytest.fixture
def ask(address):
    def ask(method, path, body=None, headers=UPLOAD) -> Answer:
        connection = HTTPConnection(*address, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.headers), response.read().decode())
        connection.close()
        return answer

    return ask


def test_everything_on_the_page_comes_from_this_server(ask):
    page = ask("GET", "/")
    assert page.status == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    local = [link for link in links if not link.startswith(("data:", "https://arxiv.org/"))]
    assert {"plotly/plotly.min.js", "static/page.js", "static/page.css"} <= set(local)
    for link in local:
        assert ask("GET", f"/{link}").status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_crystal(ask, tiny_model):
    answer = ask("POST", "/crystal?name=NaCl.cif", NACL)
    assert answer.status == 200
    report = answer.report
    assert report["formula"] == "NaCl"
    assert report["n_atoms"] == 8
    assert report["space_group"] == 225
    assert report["scope"].endswith("| 4a Na 4b Cl | Na 0.5 Cl 0.5")
    predicted = tiny_model.predict(report["scope"]).iloc[0]
    for name, shown in report["properties"].items():
        assert shown["value"] == pytest.approx(predicted[name])
        assert shown["error"] == pytest.approx(predicted[f"{name}_std"])
        assert shown["unit"] == tiny_model.properties[name].unit
        assert f'id="{name}"' in answer.text
    assert {row["tokens"] for row in report["explanation"]} >= {"4a Na", "4b Cl", "Na 0.5"}
    assert max(report["thermodynamics"]["heat_capacity_per_atom"]) < 24.95


def test_the_distance_from_the_hull_and_the_competing_phases_are_shown(ask):
    text = ask("POST", "/crystal?name=NaCl.cif", NACL).text
    assert "energy above the hull" in text
    assert "0.50 Na + 0.50 Cl" in text or "0.50 Cl + 0.50 Na" in text
    assert "mp-22862" in text


def test_the_cell_is_drawn_with_the_atoms_on_its_faces(ask):
    answer = ask("POST", "/crystal?name=NaCl.cif", NACL)
    figure = json.loads(re.search(r'id="structure-data">(.*?)</script>', answer.text, re.DOTALL)[1])
    edges, *atoms = figure["data"]
    assert len(edges["x"]) == 12 * 3
    points = len(atoms[0]["x"]) + len(atoms[1]["x"])
    assert points % 27 == 0  # 14 of one element and 13 of the other
    assert {trace["name"] for trace in atoms} == {"Na", "Cl"}
    assert max(atoms[0]["x"] + atoms[1]["x"]) < 5.64 + 1


def test_imaginary_modes_are_warned_of(ask, monkeypatch):
    monkeypatch.setattr("cloud_model.properties.catalogue.UNLIKELY_STABLE", 1e9)
    (note,) = ask("POST", "/crystal?name=NaCl.cif", NACL).report["notes"]
    assert "imaginary phonon modes with a probability of" in note


def test_warnings_about_a_crystal_are_shown(ask):
    stretched = re.sub(rb"(_cell_length_c +)\S+", rb"\g<1>40", NACL)
    answer = ask("POST", "/crystal?name=slab.cif", stretched)
    vacuum, volume = answer.report["notes"]
    assert "empty layer" in vacuum
    assert "per atom, and" in volume
    for note in vacuum, volume:
        assert note in html.unescape(answer.text)
        assert note.startswith("slab.cif: ")
        assert "/" not in note


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.cif", b"this is no crystal", r"^bad\.cif: .*no atom sites"),
        (
            "huge.vasp",
            b"Cu\n1\n400 0 0\n0 400 0\n0 0 400\nCu\n15001\nDirect\n" + b"0 0 0\n" * 15001,
            r"^huge\.vasp: ",
        ),
        ("inp", b'XYZCoordinates = "/etc/passwd"\n', r"^inp: its format is none"),
        ("pipe.cell", b"%BLOCK LATTICE_CART\n", r"^pipe\.cell: its format"),
        ("empty.cif", b"", r"^empty\.cif: "),
        ("POSCAR", b"\x00\xff" * 100, r"^POSCAR: "),
        ("", NACL[:100], r"^crystal: "),
        ("oganesson.cif", NACL.replace(b"Na", b"Og"), r"^oganesson\.cif: "),
        ("disordered.cif", NACL.replace(b" 1.0000", b" 0.5000"), r"^disordered\.cif: .*occupied"),
    ],
)
def test_a_bad_file_gives_one_message(ask, name, content, message):
    answer = ask("POST", f"/crystal?name={name}", content)
    assert answer.status == 422
    assert re.search(message, answer.text)
    assert "/tmp" not in answer.text  # noqa: S108
    assert ask("POST", "/crystal?name=NaCl.cif", NACL).status == 200


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\NaCl.cif", "..", "a\0b.cif"])
def test_names_are_no_paths(ask, name):
    answer = ask("POST", f"/crystal?name={quote(name)}", NACL)
    assert answer.status in (200, 422)
    assert "root:" not in answer.text
    assert "/" not in answer.report["name"] if answer.status == 200 else True


def test_names_are_escaped(ask):
    answer = ask("POST", f"/crystal?name={quote('<img src=x onerror=alert(1)>.cif')}", NACL)
    assert answer.status == 200
    assert "<img" not in answer.text


def test_uploads_are_bounded(ask):
    assert ask("POST", "/crystal?name=large.cif", NACL + b"#" * 2**21).status == 413


def test_pages_of_other_sites_are_refused(ask):
    assert ask("POST", "/crystal?name=NaCl.cif", NACL, {"Content-Type": "text/plain"}).status == 415
    assert ask("GET", "/", headers={"Host": "evil.example"}).status == 400
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = ask("OPTIONS", "/crystal", headers=preflight)
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


def test_every_crystal_of_a_file(ask):
    content = NACL + NACL.replace(b"Na", b"Li")
    first, second = (ask("POST", f"/crystal?name=two.cif&index={i}", content) for i in (0, 1))
    assert (first.status, second.status) == (200, 200), second.text
    assert (first.report["index"], first.report["total"]) == (0, 2)
    assert second.report["index"] == 1
    assert 'id="index"' in first.text
    for index in ("2", "-1", "x", "9" * 400):
        assert ask("POST", f"/crystal?name=two.cif&index={index}", content).status == 422


def test_a_reader_that_hangs(ask, monkeypatch):
    from cloud_model.web import analysis

    def hang(*_):
        raise TimeoutError("it takes more than 30 s")

    with monkeypatch.context() as patch:
        patch.setattr(analysis, "confined", hang)
        answer = ask("POST", "/crystal?name=slow.cif", NACL)
    assert (answer.status, answer.text) == (422, "slow.cif: it cannot be read: it takes more than 30 s")
    assert ask("POST", "/crystal?name=NaCl.cif", NACL).status == 200


def test_uploads_that_break_off_or_take_long(ask, address, monkeypatch, caplog):
    from cloud_model.web import app

    head = (
        b"POST /crystal?name=a.cif HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    )
    with socket.create_connection(address) as connection:
        connection.sendall(head + b"Content-Length: 1000\r\n\r\ndata_")
    monkeypatch.setattr(app, "SECONDS", 0.2)
    with socket.create_connection(address) as connection:
        connection.sendall(head + b"Content-Length: 1000\r\n\r\ndata_")
        connection.settimeout(60)
        answer = connection.recv(10_000)
    assert b" 408 " in answer
    assert b"connection: close" in answer.lower()
    assert not caplog.records


@pytest.mark.parametrize("beginning", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_heads_that_do_not_end_are_not_waited_for(address, ask, monkeypatch, beginning):
    from cloud_model.web import server

    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    with socket.create_connection(address) as connection:
        connection.settimeout(10)
        connection.sendall(beginning)
        started = time.monotonic()
        with suppress(ConnectionResetError):
            while time.monotonic() - started < 10:
                connection.sendall(b"a" if beginning else b"")  # a byte now and then does not help
                connection.settimeout(0.1)
                with suppress(TimeoutError):
                    if connection.recv(1) == b"":
                        break
        assert 0.4 < time.monotonic() - started < 5
    assert ask("GET", "/").status == 200


def test_a_second_request_on_a_connection_is_waited_for_as_the_first(address, monkeypatch):
    from cloud_model.web import server

    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    head = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(address) as connection:
        connection.settimeout(10)
        connection.sendall(head + b"\r\n" + head)
        connection.recv(10_000)
        with suppress(ConnectionResetError):
            assert not connection.recv(1)


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_serve(host, shown, tiny_checkpoint):
    """By the command: what it prints is reached, by its own name only, and its port is its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as free:
        port = free.getsockname()[1]
        command = [sys.executable, "-m", "cloud_model.cli", "serve", "--host", host, "--port", str(port)]
        command += ["--model", str(tiny_checkpoint)]
        taken = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert taken.returncode == 2
    assert f"{host} port {port} cannot be used" in taken.stderr
    assert "The page is at" not in taken.stderr
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr.readline() == f"The page is at http://{shown}:{port}/ until Ctrl-C is pressed.\n"
        for name, status in ((f"{shown}:{port}", 200), ("evil.example", 400)):
            connection = HTTPConnection(host, port, timeout=60)
            connection.request("GET", "/", headers={"Host": name})
            assert connection.getresponse().status == status
            connection.close()
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) in (0, 130)
        assert "Traceback" not in server.stderr.read()


def test_every_answer_has_the_headers_of_security(ask):
    answers = [
        ask("GET", "/", headers={"Host": "evil.example"}),
        ask("GET", "/nothing"),
        ask("POST", "/crystal", b"", {}),
    ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert ask("GET", "/", headers={"Host": "[::1]:8000"}).status == 200


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/plotly/../__init__.py", "/crystal"]
)
def test_no_other_file_is_served(ask, path):
    assert ask("GET", path).status in (404, 405)


def test_help():
    result = CliRunner().invoke(cloud, ["serve", "--help"])
    assert "127.0.0.1" in result.output


@pytest.mark.usefixtures("address")
def test_a_crystal_outside_of_the_training_domain_is_marked(tiny_model):
    from cloud_model.web.analysis import analyse
    from cloud_model.web.app import result_html

    inside = replace(analyse(NACL, "NaCl.cif", tiny_model), out_of_domain=False)
    outside = replace(inside, out_of_domain=True)
    assert "Outside of the training domain" not in result_html(inside, tiny_model)
    assert "Outside of the training domain" in result_html(outside, tiny_model)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "cloud_model.web.server", raising=False)
    result = CliRunner().invoke(cloud, ["serve"], standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert "pip install 'cloud-plugins[web]'" in result.exception.message


def test_importing_the_command_line_imports_no_web_library():
    code = "import sys, cloud_model.cli, cloud_model.display.html; sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
