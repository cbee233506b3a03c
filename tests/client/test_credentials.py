import http.server
import threading

import pytest

from tfrec_fusion.client import Client
from tfrec_fusion.client.credentials import Credentials
from tfrec_fusion.client.errors import ServingError
from tfrec_fusion.errors import InputError

KEY = "s3cret"


@pytest.fixture
def no_certificates(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificates")
    return path


@pytest.mark.parametrize(
    ("server", "tls"),
    [
        ("localhost:8500", False),
        ("127.0.0.1:8500", False),
        ("[::1]:8500", False),
        ("http://localhost:8501", False),
        ("http://127.8.9.10:8501/models", False),
        ("https://shop.example", False),
        ("shop.example:8500", True),
    ],
)
def test_where_a_key_may_go(server, tls):
    found = Credentials(server, KEY, tls)
    assert found.headers == {"authorization": f"Bearer {KEY}"}
    assert found.tls == (tls or server.startswith("https"))


@pytest.mark.parametrize(
    "server",
    [
        "shop.example:8500",
        "http://shop.example",
        "http://10.0.0.1:8501",
        "localhost.example:8500",
        "http://localhost@shop.example",
        "dns:///shop.example:8500",
        "dns://127.0.0.1:8600/shop.example:8500",
        "http://shop.example\\@localhost/",
        "http://localhost\\@shop.example/",
        "localhost:8500,shop.example:8500",
        "127.0.0.1/8500",
        "[::1",
        "",
    ],
)
def test_where_it_may_not(server):
    with pytest.raises(InputError, match=r"api_key needs TLS, .*tls=True") as caught:
        Client(server, model="shop", api_key=KEY)
    assert KEY not in str(caught.value)
    assert Credentials(server).headers == {}


@pytest.mark.parametrize("key", ["", " x", "x\n", "x\ny", "käse", b"x"])
def test_keys_that_no_header_can_hold(key):
    with pytest.raises(InputError, match=r"api_key .* not shown here$"):
        Client("localhost:8500", model="shop", api_key=key)


def test_tls_and_the_address_must_agree(no_certificates):
    with pytest.raises(InputError, match=r"tls needs an https:// address\. Received: 'http://a'"):
        Client("http://a", model="shop", tls=True)
    for server in ("localhost:8500", "http://localhost:8501"):
        with pytest.raises(InputError, match="ca_certs needs TLS"):
            Client(server, model="shop", ca_certs=no_certificates)


def test_certificates_that_cannot_be_read(no_certificates, tmp_path):
    for path in (no_certificates, tmp_path / "nowhere.pem", tmp_path):
        with pytest.raises(InputError, match=f"ca_certs must be a PEM file .*'{path}'"):
            Client("https://localhost:8501", model="shop", ca_certs=path)


@pytest.fixture
def redirecting():
    """The address of a server that sends everybody to another path, and the paths asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_the_key_does_not_follow_a_redirect(redirecting):
    address, asked = redirecting
    with (
        Client(address, model="shop", api_key=KEY) as client,
        pytest.raises(ServingError, match="HTTP 307"),
    ):
        client.status()
    assert asked == ["/v1/models/shop"]


@pytest.mark.parametrize("server", ["localhost:8500", "http://localhost:8501"])
def test_nothing_shows_the_key(server):
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    with Client(server, model="shop", api_key=KEY) as client:
        for shown in (client, client._transport, Credentials(server, KEY)):
            assert KEY not in repr(shown)
