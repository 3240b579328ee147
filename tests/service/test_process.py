"""The service as a process of its own: started by one command, at loopback alone, and stopped."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from serving import picture_bytes, problem, tiny_artefact

from mmfuse_utils.service.artefact import save_artefact

pytestmark = pytest.mark.skipif(os.name == "nt", reason="optional: signals of POSIX")
COMMAND = [sys.executable, "-m", "mmfuse_utils.service"]
WITHOUT = {name: value for name, value in os.environ.items()
           if name not in ("PICTURES", "CAPTIONS", "LEAVE_OUT", "STORE")}


class Service:
    """A running service: its process, its address, and what it has logged."""

    def __init__(self, *options):
        self.process = subprocess.Popen([*COMMAND, "--port", "0", *options], text=True, env=WITHOUT,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.logged = []
        line = self.process.stdout.readline()
        self.reader = threading.Thread(target=lambda: self.logged.extend(self.process.stderr))
        self.reader.start()
        found = re.search(r"http://[\d.]+:\d+", line)
        assert found, f"{line} {self.stop()} {self.logged}"
        self.line, self.address = line, found[0]

    def wait_until_ready(self):
        for _ in range(1500):
            if httpx.get(f"{self.address}/readyz").status_code == 200:
                return
            time.sleep(0.1)
        raise AssertionError("never ready")

    def stop(self):
        """End it whatever it does, and say with what status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.reader.join()
        return status

    def memory(self):
        """Bytes that the process holds."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    return save_artefact(tiny_artefact(), tmp_path_factory.mktemp("served") / "artefact")


@pytest.fixture(scope="module")
def service(artefact):
    service = Service("--artefact", str(artefact))
    service.wait_until_ready()
    yield service
    service.stop()


def test_it_says_where_it_is_and_answers_there(service):
    assert service.line.startswith("Serving 20 pictures at http://127.0.0.1:")
    response = httpx.get(f"{service.address}/v1/search?q=red+apple")
    assert response.json()["hits"][0]["id"] == "red-apple" and "server" not in response.headers
    answer = httpx.post(f"{service.address}/v1/search/picture", content=picture_bytes())
    assert answer.status_code == 200 and len(answer.json()["hits"]) == 10


def test_it_listens_at_loopback_alone(service):
    port = int(service.address.rsplit(":", 1)[1])
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            pytest.skip("optional: this system has no /proc/net")
        with open(table) as file:
            places = [line.split()[1].split(":") for line in file.readlines()[1:]
                      if line.split()[3] == "0A"]
        listening = [place for place, number in places if int(number, 16) == port]
        assert listening in ([], ["0100007F"])      # 127.0.0.1, its bytes turned round
    others = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None)
              if not found[4][0].startswith(("127.", "::1"))}
    for place in others:
        with pytest.raises(OSError):
            socket.create_connection((place, port), timeout=2).close()


def test_five_hundred_requests_leave_its_memory_steady(service):
    """In the first hundred caches fill; after them phrases, pictures and mistakes cost nothing."""
    def ask(number):
        if number % 5 == 0:
            return client.post("/v1/search/picture", content=picture_bytes(size=(200, 150)))
        if number % 5 == 1:
            return client.get("/v1/search?q=" if number % 2 else "/nowhere")
        return client.get("/v1/search", params={"q": f"red apple word{number}", "k": 20})

    with (httpx.Client(base_url=service.address, timeout=30) as client,
          concurrent.futures.ThreadPoolExecutor(4) as pool):
        memory = []
        for start in (0, 100, 200, 300, 400):
            statuses = {r.status_code for r in pool.map(ask, range(start, start + 100))}
            assert statuses <= {200, 404, 422, 503}
            memory.append(service.memory())
    assert max(memory[1:]) - memory[0] < 32 * 2**20


def test_told_to_stop_it_finishes_what_it_began(artefact):
    """A picture whose body is on its way is answered; new queries are refused; the status is 0.

    And what was logged meanwhile is JSON, with the requests' ids and without their words.
    """
    service = Service("--artefact", str(artefact))
    service.wait_until_ready()
    httpx.get(f"{service.address}/v1/search?q=privateword", headers={"x-request-id": "mine-1"})
    host, port = service.address.removeprefix("http://").split(":")
    for odd in (b"hello\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(odd)
            assert line.recv(65536)
    data, begun = picture_bytes(size=(300, 200)), []
    with (socket.create_connection((host, int(port)), timeout=20) as slow,
          httpx.Client(base_url=service.address) as other):
        slow.sendall(f"POST /v1/search/picture HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Length: {len(data)}\r\n\r\n".encode() + data[:10])
        assert other.get("/livez").status_code == 200
        start = time.perf_counter()
        service.process.send_signal(signal.SIGTERM)
        while other.get("/livez").status_code == 200 and time.perf_counter() - start < 5:
            response = other.get("/readyz")
            if response.status_code == 503:
                problem(response, 503)
                problem(other.get("/v1/search?q=red"), 503)
                break
        else:
            raise AssertionError("readyz never said so")
        slow.sendall(data[10:])
        answer = b""
        while chunk := slow.recv(65536):
            answer += chunk
        begun.append(answer)
    assert begun[0].startswith(b"HTTP/1.1 200") and b'"hits": [{' in begun[0]
    assert service.process.wait(20) == 0 and time.perf_counter() - start < 20
    service.stop()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service.address}/livez")
    lines = [json.loads(line) for line in service.logged]
    assert [line["route"] for line in lines if line["request"] == "mine-1"] == ["/v1/search"]
    assert {line["status"] for line in lines} == {200, 503}
    assert "private" not in "".join(service.logged)


def test_told_to_stop_while_it_still_loads_it_ends_at_once(artefact):
    service = Service("--artefact", str(artefact))
    start = time.perf_counter()
    assert service.stop() == 0 and time.perf_counter() - start < 10


def test_a_damaged_artefact_is_not_served(artefact, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in artefact.iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[:-1])
    (broken / "manifest.json").write_bytes((artefact / "manifest.json").read_bytes())
    done = subprocess.run([*COMMAND, "--artefact", str(broken)], capture_output=True, text=True,
                          env=WITHOUT, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "vectors.npy has" in done.stderr and "words.json has" in done.stderr
    assert "--build-only" in done.stderr


def test_faults_of_a_folder_are_told_and_nothing_is_served(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    done = subprocess.run([*COMMAND, "--captions", "none.csv"], capture_output=True, text=True,
                          env=WITHOUT | {"PICTURES": str(tmp_path)}, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "bad.png" in done.stderr and "--leave-out (or LEAVE_OUT=1)" in done.stderr
    (tmp_path / "good.png").write_bytes(picture_bytes())
    for said, status in (("1", 0), ("0", 1)):
        settings = {"PICTURES": str(tmp_path), "LEAVE_OUT": said}
        done = subprocess.run([*COMMAND, "--build-only"], capture_output=True, text=True,
                              env=WITHOUT | settings, timeout=120)
        assert done.returncode == status and "bad.png" in done.stdout + done.stderr
    alone = subprocess.run([*COMMAND, "--captions", "a.csv"], capture_output=True, text=True,
                           env=WITHOUT, timeout=60)
    assert alone.returncode == 2 and "--captions needs --pictures" in alone.stderr


def test_a_port_in_use_is_told(service, artefact):
    port = service.address.rsplit(":", 1)[1]
    done = subprocess.run([*COMMAND, "--artefact", str(artefact), "--port", port],
                          capture_output=True, text=True, env=WITHOUT, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"port {port}" in done.stderr and "--port" in done.stderr


@pytest.mark.parametrize("port", ["65536", "-1", "many"])
def test_a_port_that_is_none_is_told(port):
    done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, env=WITHOUT,
                          timeout=60)
    assert done.returncode == 2 and "--port" in done.stderr
