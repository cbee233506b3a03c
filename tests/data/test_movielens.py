import hashlib
import http.server
import io
import socket
import threading
import zipfile

import pandas as pd
import pytest

from tfrec_fusion.data.movielens import NAME, fetch_movielens
from tfrec_fusion.errors import InputError

_MOVIES = """movieId,title,genres
1,Toy Story (1995),Adventure|Animation
2,"American President, The (1995) ",Comedy
10,Misérables (1998-2000),(no genres listed)
"""
_RATINGS = """userId,movieId,rating,timestamp
7,2,4.5,300
7,1,0.5,100
8,10,5.0,200
"""


def _archive(**members):
    members = {"movies.csv": _MOVIES, "ratings.csv": _RATINGS, "README.txt": "Terms"} | members
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            if text is not None:
                archive.writestr(f"{NAME}/{name}", text)
    return content.getvalue()


@pytest.fixture
def publisher():
    """`url, asked = publisher(archive)`: a loopback server of the archive, and its log."""
    servers = []

    def start(content):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                found = self.path == f"/data/{NAME}.zip"
                self.send_response(200 if found else 404)
                self.end_headers()
                if found:
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/data", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_tables_have_the_form_of_the_other_data(publisher, tmp_path):
    content = _archive()
    url, _ = publisher(content)
    folder = fetch_movielens(tmp_path / "cache", url, hashlib.sha256(content).hexdigest())
    items = pd.read_parquet(folder / "items.parquet")
    assert items["item_id"].tolist() == ["1", "2", "10"]
    assert items["title"].tolist()[1] == "American President, The (1995)"
    assert items["genres"].tolist() == ["Adventure|Animation", "Comedy", ""]
    assert items["year"].tolist() == [1995, 1995, pd.NA]
    assert items["text"].tolist() == [
        "Toy Story (1995). Genres: Adventure, Animation.",
        "The American President (1995). Genres: Comedy.",
        "Misérables (1998-2000).",
    ]
    events = pd.read_parquet(folder / "interactions.parquet")
    assert events.to_dict("list") == {
        "user_id": ["7", "8", "7"],
        "item_id": ["1", "10", "2"],
        "rating": [0.5, 5.0, 4.5],
        "timestamp": [100, 200, 300],
    }
    assert (folder / "LICENSE.txt").read_text() == "Terms"


def test_a_second_call_needs_no_network(publisher, tmp_path):
    url, asked = publisher(_archive())
    first = fetch_movielens(tmp_path, url, sha256=None)
    assert fetch_movielens(tmp_path, "http://127.0.0.1:1", sha256=None) == first
    assert asked == [f"/data/{NAME}.zip"]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("content", "sha256", "message"),
    [
        (_archive(), "0" * 64, "the checksum of the archive is wrong"),
        (b"<html>Sign in</html>", None, "not ml-latest-small"),
        (_archive()[:-40], None, "not ml-latest-small"),
        (_archive(**{"movies.csv": None}), None, "no item named 'ml-latest-small/movies.csv'"),
        (_archive(**{"movies.csv": "id,name\n1,x\n"}), None, "not ml-latest-small"),
        (_archive(**{"ratings.csv": "userId\nx\n"}), None, "not ml-latest-small"),
        (_archive(**{"ratings.csv": ""}), None, "not ml-latest-small"),
    ],
)
def test_another_archive_is_refused_and_leaves_nothing(
    publisher, tmp_path, content, sha256, message
):
    url, _ = publisher(content)
    with pytest.raises(InputError) as error:
        fetch_movielens(tmp_path, url, sha256)
    assert message in str(error.value).replace("There is no", "no")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_message_says_so(tmp_path):
    with socket.socket() as taken:  # bound but not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=r"download failed .*check the network"):
            fetch_movielens(tmp_path, url)


def test_a_missing_page_is_named_with_its_status(publisher, tmp_path):
    url, _ = publisher(_archive())
    with pytest.raises(InputError, match="HTTP 404"):
        fetch_movielens(tmp_path, f"{url}/moved")


def test_a_cache_that_cannot_be_made_is_named(publisher, tmp_path):
    url, _ = publisher(_archive())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache cannot be written"):
        fetch_movielens(tmp_path / "file" / "cache", url, sha256=None)


def test_the_real_files_come_out_as_the_prepared_ones(publisher, tmp_path, real_data):
    folder = real_data("movies")
    items = pd.read_parquet(folder / "items.parquet")
    events = pd.read_parquet(folder / "interactions.parquet")
    movies = items[["item_id", "title", "genres"]].set_axis(["movieId", "title", "genres"], axis=1)
    movies["genres"] = movies["genres"].replace("", "(no genres listed)")
    names = {"user_id": "userId", "item_id": "movieId"}
    content = _archive(
        **{
            "movies.csv": movies.to_csv(index=False),
            "ratings.csv": events.rename(columns=names).to_csv(index=False),
        }
    )
    url, _ = publisher(content)
    out = fetch_movielens(tmp_path, url, sha256=None)
    items["title"] = items["title"].str.strip()
    items["text"] = items["text"].str.replace(r"\s+", " ", regex=True)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "items.parquet"), items)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "interactions.parquet"), events)
