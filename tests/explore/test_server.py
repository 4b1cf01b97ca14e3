"""What can be asked over HTTP: right answers to good questions, one clear line to bad ones."""

import asyncio
import base64
import contextlib
import json
import socket
import threading
import time
import urllib.request
from concurrent.futures import CancelledError
from urllib.parse import quote

import numpy as np
import pytest
import torch
import uvicorn
from starlette.testclient import TestClient

import regional_primitives as rp
from regional_primitives.explore import guard
from regional_primitives.explore.explorer import Explorer, Renderer
from regional_primitives.explore.guard import MOST_BYTES
from regional_primitives.explore.server import application
from regional_primitives.explore.serving import serving
from regional_primitives.explore.session import State
from regional_primitives.picture import Picture
from regional_primitives.runtime.eight_bit import bytes_of, picture_digest

HOST = "127.0.0.1:8000"
PAGE = "0123456789abcdef"
ALL = {"base": {"kind": "all"}, "scales": {}}


@pytest.fixture(scope="module")
def client(explorer):
    app = application(explorer, frozenset({HOST}))
    return TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)


@pytest.fixture
def ask(client, explorer):
    def post(state, run=explorer.first):
        return client.post(f"/api/runs/{run}/picture", json={"state": state, "page": PAGE})

    return post


def _demand(*patches):
    return {"base": {"kind": "demand", "patches": list(patches)}, "scales": {}}


def _content(uri):
    return base64.b64decode(uri.split(",")[1])


@pytest.mark.parametrize(
    ("state", "edit"),
    [
        (ALL, rp.Edit()),
        ({"base": {"kind": "all"}, "scales": {"3": 0, "7": 1.5}}, rp.Edit({3: 0.0, 7: 1.5})),
        ({"base": {"kind": "none"}, "scales": {"5": -2.0}}, rp.Edit({5: -2.0}, others=0.0)),
        (
            {"base": {"kind": "first", "order": "strength", "count": 4}, "scales": {}},
            rp.Edit.keep_only(range(4)),
        ),
    ],
)
def test_a_state_gives_the_pixels_of_its_edit(ask, face, faces, pixels_of, state, edit):
    answer = ask(state).json()
    expected = rp.edit(face, faces, edit)[0]
    assert answer["digest"] == picture_digest(expected, (-1.0, 1.0))
    given = pixels_of(_content(answer["picture"]))
    np.testing.assert_array_equal(given, bytes_of(expected, (-1.0, 1.0)).numpy())


def test_a_demand_gives_the_picture_of_its_minimal_feature_and_what_it_costs(ask, face, faces):
    answer = ask(_demand(14, 15)).json()
    feature = face.minimal_feature([14, 15])
    image = faces.tail(feature)[0].detach()
    assert answer["digest"] == picture_digest(image, (-1.0, 1.0))
    spent = (feature - face.baseline).abs().sum() / (face.feature - face.baseline).abs().sum()
    assert answer["cost"] == pytest.approx(float(spent), rel=1e-4)
    assert answer["on"] == int(face.action_fields[:, [14, 15]].any(1).sum())
    mask = face.regions.pixel_mask(face.demand_rows([14, 15])[0], 64, 64)
    squares = (
        (image - face.image).square().sum(0),
        (face.baseline_image - face.image).square().sum(0),
    )
    assert answer["inside"] == pytest.approx(
        float(squares[0][mask].sum() / squares[1][mask].sum()), rel=1e-3
    )
    away = (image - face.baseline_image).square().sum(0)
    assert answer["leak"] == pytest.approx(
        float(away[~mask].sum() / squares[1][~mask].sum()), rel=1e-3
    )


def test_an_exported_edit_is_replayed_to_the_same_picture(
    client, explorer, ask, face, faces, tmp_path
):
    state = {**_demand(7, 8, 13), "scales": {"2": 0.0, "9": 1.75}}
    content = client.post(f"/api/runs/{explorer.first}/edit", json=state).json()
    path = tmp_path / "edit.json"
    path.write_text(json.dumps(content))
    edit = rp.Edit.read(path)
    assert edit.scales[2] == 0.0
    assert edit.scales[9] == 1.75
    assert edit.made(face, rp.edit(face, faces, edit)) is True
    assert content["picture_digest"] == ask(state).json()["digest"]


def test_an_edit_of_regions_is_measured_beside_its_alternatives(client, explorer, face, faces):
    state = {**ALL, "regions": [{"patches": [14, 15], "scale": 0.0}], "scales": {"2": 1.5}}
    asked = {"state": state, "page": PAGE}
    found = client.post(f"/api/runs/{explorer.first}/effects", json=asked).json()
    edit = rp.Edit.of_regions(face, [14, 15])
    edit = rp.Edit({**edit.scales, 2: 1.5}, patches=edit.patches)
    effects = rp.edit_effects(face, faces, edit)
    assert found["patches"] == [14, 15]
    for told, way in zip(found["ways"], effects.ways, strict=True):
        assert told["way"] == way.way
        for name in ("inside", "outside", "outside_share", "seam"):
            assert told[name] == pytest.approx(getattr(way, name), rel=1e-4, abs=1e-9)


def test_what_the_page_lists_is_what_the_run_holds(client, explorer, face):
    found = client.get(f"/api/runs/{explorer.first}").json()
    assert found["strengths"] == pytest.approx(face.strengths.tolist())
    assert [set(field) for field in found["fields"]] == [
        set(row.nonzero().flatten().tolist()) for row in face.action_fields
    ]
    assert found["labels"] == face.regions.label_map(64, 64).flatten().tolist()
    visible = torch.tensor(found["visible"])
    assert visible.shape == (face.count,)
    assert float(visible.max()) > 0
    assert str(explorer.session(explorer.first).folder.parent) not in json.dumps(found)


def test_patterns_and_strip(client, explorer, face, faces):
    found = client.get(f"/api/runs/{explorer.first}/patterns?component=4&component=0").json()
    assert [one["component"] for one in found] == [4, 0]
    change = rp.edit(face, faces, rp.Edit.keep_only([4]))[0] - face.baseline_image
    mask = face.regions.pixel_mask(face.action_fields[4], 64, 64)
    share = change[:, mask].square().sum() / change.square().sum()
    assert found[0]["bounded"] == pytest.approx(float(share), rel=1e-3)
    for order in ("strength", "visible"):
        strip = client.get(f"/api/runs/{explorer.first}/build-up?order={order}").json()
        assert (strip[0]["count"], strip[-1]["count"]) == (0, face.count)
        assert strip[0]["error"] == pytest.approx(1.0, rel=1e-4)
        assert strip[-1]["error"] == pytest.approx(0.0, abs=1e-6)


SPELLINGS = ["00", "+1", "-0", " 1", "1 ", "1_0", "1.0", "1e0", "0x1", "\uff11", ""]

BAD_STATES = {
    "no state": None,
    "a list": [],
    "no base": {"scales": {}},
    "unknown base": {"base": {"kind": "some"}, "scales": {}},
    "unknown field": {**ALL, "path": "../../etc/passwd"},
    "huge scale": {**ALL, "scales": {"0": 1e9}},
    "just too large": {**ALL, "scales": {"0": 10.0001}},
    "text for a scale": {**ALL, "scales": {"0": "1"}},
    "null scale": {**ALL, "scales": {"0": None}},
    "true for a scale": {**ALL, "scales": {"0": True}},
    "unknown component": {**ALL, "scales": {"999999": 1.0}},
    "negative component": {**ALL, "scales": {"-1": 1.0}},
    "path for a component": {**ALL, "scales": {"../0": 1.0}},
    "two spellings of a component": {**ALL, "scales": {"0": 1.0, "00": 0.0}},
    **{f"component {name!r}": {**ALL, "scales": {name: 1.0}} for name in SPELLINGS},
    "component with a line end": {**ALL, "scales": {"0\n": 1.0}},
    "unknown patch": {"base": {"kind": "demand", "patches": [36]}, "scales": {}},
    "negative patch": {"base": {"kind": "demand", "patches": [-1]}, "scales": {}},
    "half a patch": {"base": {"kind": "demand", "patches": [0.5]}, "scales": {}},
    "no patch": {"base": {"kind": "demand", "patches": []}, "scales": {}},
    "unknown order": {"base": {"kind": "first", "order": "name", "count": 1}, "scales": {}},
    "region edit of no kind": {**ALL, "regions": [{"patches": [3]}]},
    "region edit of two kinds": {
        **ALL,
        "regions": [{"patches": [3], "scale": 0.0, "other": "0" * 12}],
    },
    "region edit from nowhere": {**ALL, "regions": [{"patches": [3], "other": "0" * 12}]},
    "region edit from two": {
        **ALL,
        "regions": [{"patches": [3], "other": "0" * 12}, {"patches": [3], "other": "1" * 12}],
    },
    "region edit from a path": {**ALL, "regions": [{"patches": [3], "other": "../../run"}]},
    "region edit of no patch": {**ALL, "regions": [{"patches": [], "scale": 0.0}]},
    "region edit of an unknown patch": {**ALL, "regions": [{"patches": [36], "scale": 0.0}]},
    "region edit too large": {**ALL, "regions": [{"patches": [3], "scale": 11.0}]},
    "more than there are": {
        "base": {"kind": "first", "order": "strength", "count": 999_999},
        "scales": {},
    },
}


def _refused(answer, *statuses):
    assert answer.status_code in statuses, answer.text
    (error,) = answer.json().values()
    assert "\n" not in error
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize("state", BAD_STATES.values(), ids=BAD_STATES)
def test_bad_input_states_get_a_clear_answer_and_the_server_lives_on(ask, client, explorer, state):
    _refused(ask(state), 422)
    _refused(client.post(f"/api/runs/{explorer.first}/edit", json=state), 422)
    assert ask(ALL).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 6000, b"null",
        b'{"state": {"base": {"kind": "all"}, "scales": {"0": NaN}}, "page": "0123456789abcdef"}',
        b'{"state": {"base": {"kind": "all"}, "scales": {"0": Infinity}}, "page": "0123456789ab"}',
        b'{"state": {"base": {"kind": "all"}, "scales": {"0": 1e999}}, "page": "0123456789abc"}',
        b'{"state": {"base": {"kind": "all"}, "scales": {}}, "page": "../../x"}',
        b'{"state": {"base": {"kind": "all"}, "scales": {"0": 1, "0": 0}}, "page": "0123456789"}',
    ],
)  # fmt: skip
def test_bad_input_bodies_get_a_clear_answer_and_the_server_lives_on(client, explorer, ask, body):
    sent = {"content": body, "headers": {"content-type": "application/json"}}
    for path in (f"/api/runs/{explorer.first}/picture", "/api/explanation"):
        _refused(client.post(path, **sent), 400, 422)
    assert ask(ALL).status_code == 200


def test_bad_input_that_is_too_long_is_not_read(client, explorer, ask):
    long = {"content": b" " * (MOST_BYTES + 1), "headers": {"content-type": "application/json"}}
    _refused(client.post(f"/api/runs/{explorer.first}/picture", **long), 413)
    pieces = (b" " * 2**16 for _ in range(20))  # in chunks, its length not told
    chunked = {"content": pieces, "headers": {"content-type": "application/json"}}
    _refused(client.post(f"/api/runs/{explorer.first}/picture", **chunked), 413)
    assert ask(ALL).status_code == 200


TRICKS = ["..%2f..%2fetc%2fpasswd", "%2e%2e", "..\\..", "a%00b", "%2Fetc%2Fpasswd", "a" * 3000]


@pytest.mark.parametrize("trick", TRICKS)
def test_bad_input_names_open_no_file(client, ask, trick):
    for path in (f"/page/{trick}", f"/api/runs/{trick}", f"/{trick}", f"/page/../{trick}"):
        _refused(client.get(path), 404)
    _refused(ask(ALL, run=trick), 404)
    wish = {"run": trick, "seed": 1, "layer": "main.5", "quality": "fast"}
    _refused(client.post("/api/explanation", json=wish), 422)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1}, {"seed": 1.5}, {"seed": 2**40}, {"seed": "1"}, {"layer": "../../tmp"},
        {"layer": "main.99"}, {"layer": ""}, {"quality": "../fast"}, {"out": "/tmp/x"},
    ],
)  # fmt: skip
def test_bad_input_wishes_begin_nothing(client, explorer, change):
    wish = {"run": explorer.first, "seed": 1, "layer": "main.5", "quality": "fast"}
    wish |= {"purpose": "generate", **change}
    _refused(client.post("/api/explanation", json=wish), 422)
    assert client.get("/api/explanation").json() is None


WHOLE = 64 * 64
BAD_DRAWINGS = {
    "nothing": ([], [], "names"),
    "no pixel": (["mouth"], [], "runs"),
    "too few pixels": (["mouth"], [0, WHOLE - 1], "do not cover 64 × 64 pixels"),
    "too many pixels": (["mouth"], [0, 10**9, -1, 10**9], "do not cover 64 × 64 pixels"),
    "half a run": (["mouth"], [0, WHOLE, -1], "do not cover"),
    "an empty run": (["mouth"], [0, WHOLE, -1, 0], "do not cover"),
    "a region of no name": (["mouth"], [0, 9, 1, WHOLE - 9], "that has no name"),
    "an empty region": (["mouth", "nose"], [0, WHOLE], "nothing was drawn of 'nose'"),
    "one name twice": (["mouth", "mouth"], [0, 9, 1, WHOLE - 9], "two patches are called"),
    "no name": (["", "nose"], [0, 9, 1, WHOLE - 9], "cannot be called ''"),
    "a long name": (["a" * 9999, "nose"], [0, 9, 1, WHOLE - 9], "cannot be called"),
    "a number": (["3", "nose"], [0, 9, 1, WHOLE - 9], "cannot be called '3'"),
    "too many": ([f"region {i}" for i in range(101)], [0, WHOLE], "at most 100"),
    "text": (["mouth"], ["0", WHOLE], "valid integer"),
}


@pytest.mark.parametrize(("names", "runs", "told"), BAD_DRAWINGS.values(), ids=BAD_DRAWINGS)
def test_bad_input_drawings_begin_nothing(client, explorer, names, runs, told):
    wish = {"run": explorer.first, "seed": None, "layer": "main.5", "quality": "fast"}
    wish |= {"purpose": "generate", "regions": {"names": names, "runs": runs}}
    assert told in _refused(client.post("/api/explanation", json=wish), 422)
    assert client.get("/api/explanation").json() is None


def test_bad_input_queries(client, explorer):
    path = f"/api/runs/{explorer.first}"
    many = "&".join(f"component={k}" for k in range(65))
    spelt = [f"component={quote(name)}" for name in SPELLINGS]
    for query in ("", "component=x", "component=99999", "component=-1", many, *spelt):
        _refused(client.get(f"{path}/patterns?{query}"), 422)
    for query in ("", "order=../x", "order=strength%0a"):
        _refused(client.get(f"{path}/build-up?{query}"), 422)
    _refused(client.delete(path), 405)
    _refused(client.options(path), 405)
    assert client.head(path).status_code == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:9"}, 421),
        ({"host": "127.0.0.1:8000.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8000"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-length": "-1"}, 413),
        ({"content-length": "9" * 30}, 413),
    ],
)
def test_only_the_explorers_own_page_may_ask(client, headers, status):
    _refused(client.get("/api/runs", headers=headers), status)


REPEATED = {
    "host": (HOST, "evil.example"),
    "origin": (f"http://{HOST}", "http://evil.example"),
    "sec-fetch-site": ("same-origin", "cross-site"),
    "content-length": ("0", "5"),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_header_that_is_trusted_comes_once(client, name):
    own, foreign = REPEATED[name]
    for values in ((foreign, own), (own, foreign), (own, own)):
        headers = [(name, value) for value in values]
        if name != "host":
            headers.append(("host", HOST))
        _refused(client.get("/api/runs", headers=headers), 400)


def test_the_explorers_own_page_may_ask(client):
    assert client.get("/api/runs", headers={"origin": f"http://{HOST}"}).status_code == 200


def test_every_answer_forbids_other_hosts(client):
    for path in ("/", "/page/explorer.js", "/api/runs", "/missing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    for path in ("/docs", "/redoc", "/openapi.json"):  # their pages load from other hosts
        assert client.get(path).status_code == 404


def test_nothing_is_measured_for_others(explorer, monkeypatch):
    """FastAPI can export telemetry where the environment asks for it; the explorer does not."""
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    app = application(explorer, frozenset({HOST})).app
    settings = app._telemetry
    assert not any(settings[name] for name in ("tracing", "metrics", "logs", "auto_configure"))


def test_it_listens_on_this_machine_only(face_folder):
    with serving(face_folder) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        with socket.socket() as other:
            other.settimeout(2)
            assert other.connect_ex(("127.0.0.2", port)) != 0
        with pytest.raises(rp.InputError, match=f"port {port} is taken"):
            rp.explore(face_folder, port=port, show=False)


UNFINISHED = {
    "nothing": b"",
    "half a header": b"GET /api/runs HTTP/1.1\r\nHost: ",
    "half a body": b"POST /api/explanation HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\n{",
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_a_question_that_never_ends_is_not_waited_for(face_folder, monkeypatch, caplog, sent):
    monkeypatch.setattr(guard, "SECONDS", 0.2)
    with serving(face_folder) as address:
        host = address.removeprefix("http://").rstrip("/")
        name, port = host.split(":")
        with socket.create_connection((name, int(port)), timeout=30) as door:
            door.sendall(sent.replace(b"%s", host.encode()))
            with contextlib.suppress(ConnectionResetError):
                assert door.recv(1) == b""  # a timeout of the socket would fail
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
    assert "Traceback" not in caplog.text


def test_an_answer_that_nobody_takes_is_not_waited_for(monkeypatch):
    ended = []
    monkeypatch.setattr(guard, "SECONDS", 0.2)

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not ended:
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})

    class Told(guard.Connection):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            ended.append(True)

    async def ask():
        config = uvicorn.Config(endless, http=Told, ws="none", lifespan="off", log_level="error")
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            door.listen()
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve(sockets=[door]))
            _, writer = await asyncio.open_connection(*door.getsockname(), limit=1)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while not ended:
                await asyncio.sleep(0.05)
            writer.close()
            server.should_exit = True
            await running

    asyncio.run(asyncio.wait_for(ask(), 60))
    assert ended


@pytest.mark.parametrize("port", [-1, 65536, 1.5, True, "80"])
def test_bad_input_ports(face_folder, port):
    with pytest.raises(rp.InputError, match="must be a whole number from 0 to 65535"):
        rp.explore(face_folder, port=port, show=False)


def test_bad_input_runs(tmp_path, face, faces, planted):
    with pytest.raises(rp.StorageError, match="is not a run folder"):
        rp.explore(tmp_path, show=False)
    with pytest.raises(rp.InputError, match="a run folder or a decomposition"):
        rp.explore(3, show=False)
    with pytest.raises(rp.GeneratorError, match="other weights"):
        rp.explore(face, planted, show=False)


def test_a_missing_package_is_named_with_the_pip_line(face_folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)
    with pytest.raises(rp.MissingExtraError, match=r"regional_primitives\[explore\]"):
        rp.explore(face_folder, show=False)


def test_label_maps_and_generators_of_ones_own(planted):
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[16:] = 1
    labels[:4] = -1
    settings = rp.Structured(steps=4, batch=4, trials=0, probes=1, baseline_count=32)
    latents = planted.sample_latents(1, seed=3)
    run = rp.explain(planted, latents, rp.Regions.from_labels(labels), settings)
    opened = Explorer.of(run, planted)
    try:
        session = opened.session(opened.first)
        found = opened.describe(session)
        assert (found["rows"], found["count"], found["labels"][0]) == (None, 2, -1)
    finally:
        opened.close()


OWN = """
import torch
import regional_primitives as rp
from regional_primitives.generators.zoo.toy import PlantedNetwork, sample_latents

def make(seed=0):
    return rp.cut(PlantedNetwork(), "express", name="mine", sample_latents=sample_latents,
                  image_range=(-1.0, 1.0), baseline_count=32)
"""


def test_a_named_generator_of_ones_own_explains_another_picture(tmp_path, planted):
    (tmp_path / "own.py").write_text(OWN)
    mine = rp.load_generator(f"{tmp_path / 'own.py'}:make", seed=4)
    settings = rp.Structured(steps=4, batch=4, trials=0, probes=1, baseline_count=32)
    run = rp.explain(mine, mine.sample_latents(1, seed=3), rp.Regions.grid(2, 2), settings)
    run.save(tmp_path / "run")
    opened = Explorer.of(tmp_path / "run", mine)
    try:
        session = opened.session(opened.first)
        offered = opened.describe(session)["explain"]
        assert (offered["can"], offered["layers"]) == (True, ["express"])
        opened.explain(session, 5, "express", "fast", "isolate")
        opened._thread.join(timeout=120)
        status = opened.status()
        assert (status["state"], status["error"]) == ("done", "")
        made = opened.session(status["run"])
        assert made.run.provenance.picture_seed == 5
        assert made.run.provenance.options == run.provenance.options
    finally:
        opened.close()
    strange = Explorer.of(rp.explain(planted, planted.sample_latents(1, seed=3), None, settings))
    strange.close()
    unnamed = rp.cut(
        planted.network.module, "express", name="theirs", image_range=(-1.0, 1.0),
        sample_latents=lambda count, rng: torch.randn(count, 60, generator=rng),
    )  # fmt: skip
    found = rp.explain(unnamed, unnamed.sample_latents(1, seed=3), None, settings)
    opened = Explorer.of(found, unnamed)
    try:
        with pytest.raises(rp.InputError, match="start the explorer with --model"):
            opened.explain(opened.session(opened.first), 5, "express", "fast", "isolate")
    finally:
        opened.close()


def test_of_one_page_only_the_newest_question_waits():
    renderer = Renderer()
    hold, order = threading.Event(), []
    busy = renderer.submit(hold.wait, "first")
    time.sleep(0.05)
    stale = renderer.submit(lambda: order.append("stale"), "page")
    other = renderer.submit(lambda: order.append("other"), "another page")
    later = renderer.submit(lambda: order.append("later"), "patterns", later=True)
    newest = renderer.submit(lambda: order.append("newest"), "page")
    hold.set()
    for future in (busy, other, newest, later):
        future.result(timeout=5)
    assert order == ["other", "newest", "later"]
    with pytest.raises(CancelledError):
        stale.result(timeout=5)
    with pytest.raises(ZeroDivisionError):
        renderer.submit(lambda: 1 / 0, "page").result(timeout=5)
    assert renderer.submit(lambda: 3, "page").result(timeout=5) == 3
    renderer.close()
    assert renderer.submit(lambda: 3, "page").cancelled()


def test_an_answer_is_made_once_and_kept(explorer, monkeypatch):
    session = explorer.session(explorer.first)
    state = State.model_validate({"base": {"kind": "none"}, "scales": {"6": 0.25}})
    found = session.show(state)
    made = []
    monkeypatch.setattr(Picture, "render", lambda *given: made.append(given))
    assert session.show(state) == found
    assert not made
