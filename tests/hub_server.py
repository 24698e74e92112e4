"""A Hugging Face Hub on loopback: repositories in memory behind the HTTP protocol that `huggingface_hub` speaks."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.card_schema import card_errors

TOKEN = "hf_loopback"


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """Commits are immutable trees `{path: content}`; branches and tags name commits."""

    private: bool = False
    gated: bool = False
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.commit("main", {})

    @property
    def files(self) -> dict[str, bytes]:
        return self.trees[self.branches["main"]]

    def commit(self, branch: str, tree: dict[str, bytes]) -> str:
        sha = hashlib.sha1(
            f"{len(self.trees)} {sorted((p, blob_id(c)) for p, c in tree.items())}".encode()
        ).hexdigest()
        self.trees[sha] = tree
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return sha if sha in self.trees else None


class HubServer(ThreadingHTTPServer):
    """
    Serves until the `with` block ends; `url` is what `HF_ENDPOINT` is set to and `TOKEN` the one token it accepts.

    Attributes:
        repositories: by name, to look at and to fill.
        static: further files by path below `/static/`.
        requests: `(method, path)` of every request, in order.
        lfs_suffixes: files that are uploaded by the LFS protocol instead of inside the commit, and stated by SHA-256.
        cut_commits: this many of the next commits have their connection cut in the middle of the request.
        cut_downloads: this many of the next downloads have their connection cut in the middle of the answer.
        swapped: other content than stated that the download of a path sends, of the same size.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.static: dict[str, bytes] = {}
        self.lfs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.lfs_suffixes: tuple[str, ...] = ()
        self.cut_commits = 0
        self.cut_downloads = 0
        self.swapped: dict[str, bytes] = {}

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class HubError(Exception):
    def __init__(self, status: int, message: str, code: str = "", **headers):
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message, "X-Error-Code": code, **headers}


ROUTES = [
    ("GET", r"/static/(?P<path>.+)", "get_static"),
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/validate-yaml", "validate_card"),
    ("POST", r"/api/repos/create", "create_repository"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>.+)", "preupload"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>.+)", "commit"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/branch/(?P<name>.+)", "create_branch"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/tag/(?P<revision>.+)", "create_tag"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/paths-info/(?P<revision>[^/]+)", "paths_info"),
    ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?P<folder>/.*)?", "tree"),
    ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/refs", "refs"),
    ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>.+))?", "model_info"),
    ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
    ("GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "download"),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, format, *args):
        """Silent."""

    def do_request(self):
        path = urlsplit(self.path).path
        self.server.requests.append((self.command, path))
        method = "GET" if self.command == "HEAD" else self.command
        length = int(self.headers.get("Content-Length", 0))
        if method == "POST" and "/commit/" in path and self.server.cut_commits > 0:
            self.server.cut_commits -= 1
            self.rfile.read(length // 2)
            self.close_connection = True
            return self.connection.close()
        self.body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        try:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in ("", TOKEN):
                raise HubError(401, "Invalid credentials in Authorization header")
            self.authenticated = token == TOKEN
            for route_method, pattern, name in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and route_method == method:
                    return getattr(self, name)(**{k: v and unquote(v) for k, v in match.groupdict().items()})
            raise HubError(404, f"No route for {method} {path}")
        except HubError as error:
            self.send(error.status, {"error": str(error)}, error.headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_request

    def send(self, status: int, payload, headers: dict[str, str] | None = None):
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/octet-stream" if content is payload else "application/json"} | (
            headers or {}
        )
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @property
    def json(self):
        return json.loads(self.body)

    def find(self, repo: str, write: bool = False) -> Repository:
        repository = self.server.repositories.get(repo)
        if repository is None or (repository.private and not self.authenticated):
            raise HubError(404 if self.authenticated else 401, "Repository not found", "RepoNotFound")
        if write and not self.authenticated:
            raise HubError(401, "Invalid username or password.")
        return repository

    def resolve(self, repo: str, revision: str | None) -> tuple[Repository, str]:
        repository = self.find(repo)
        sha = repository.resolve(revision or "main")
        if sha is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repository, sha

    def describe(self, path: str, content: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
        if path.endswith(self.server.lfs_suffixes or ("\0",)):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def get_static(self, path):
        if path not in self.server.static:
            raise HubError(404, "no such file")
        self.send(200, self.server.static[path])

    def whoami(self):
        if not self.authenticated:
            raise HubError(401, "Invalid username or password.")
        self.send(200, {"type": "user", "name": "maintainer", "orgs": [{"name": "AIGeeksGroup"}]})

    def validate_card(self):
        errors = card_errors(self.json["content"])
        self.send(400 if errors else 200, {"errors": [{"message": message} for message in errors], "warnings": []})

    def create_repository(self):
        if not self.authenticated:
            raise HubError(401, "Invalid username or password.")
        name = f"{self.json.get('organization') or 'maintainer'}/{self.json['name']}"
        url = {"url": f"{self.server.url}/{name}"}
        if name in self.server.repositories:
            return self.send(409, url | {"error": "You already created this model repo"})
        self.server.repositories[name] = Repository(self.json.get("visibility") == "private")
        self.send(200, url)

    def preupload(self, repo, revision):
        self.find(repo, write=True)
        repository, sha = self.resolve(repo, revision)
        answers = []
        for file in self.json["files"]:
            mode = "lfs" if file["path"].endswith(self.server.lfs_suffixes or ("\0",)) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if file["path"] in repository.trees[sha]:
                entry = self.describe(file["path"], repository.trees[sha][file["path"]])
                answer["oid"] = entry.get("lfs", entry)["oid"]
            answers.append(answer)
        self.send(200, {"files": answers})

    def commit(self, repo, revision):
        repository = self.find(repo, write=True)
        if revision not in repository.branches:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        lines = [json.loads(line) for line in self.body.splitlines()]
        tree = dict(repository.trees[repository.branches[revision]])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                if value.get("parentCommit") not in (None, repository.branches[revision]):
                    raise HubError(412, "A commit has happened since. Please refresh and try again.")
            elif line["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.server.lfs:
                    raise HubError(400, f"LFS object {value['oid']} was not uploaded")
                tree[value["path"]] = self.server.lfs[value["oid"]]
            elif line["key"] == "deletedFile":
                del tree[value["path"]]
        answer = {"success": True}
        if "create_pr=1" in urlsplit(self.path).query:
            number = 1 + sum(name.startswith("refs/pr/") for name in repository.branches)
            revision = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{self.server.url}/{repo}/discussions/{number}"
        sha = repository.commit(revision, tree)
        self.send(200, {"commitOid": sha, "commitUrl": f"{self.server.url}/{repo}/commit/{sha}", **answer})

    def create_branch(self, repo, name):
        repository = self.find(repo, write=True)
        if name in repository.branches:
            raise HubError(409, "Reference already exists")
        repository.branches[name] = repository.resolve(self.json.get("startingPoint") or "main")
        self.send(200, {})

    def create_tag(self, repo, revision):
        repository, sha = self.resolve(repo, revision)
        self.find(repo, write=True)
        if self.json["tag"] in repository.tags:
            raise HubError(409, "Tag reference exists already")
        repository.tags[self.json["tag"]] = sha
        self.send(200, {})

    def refs(self, repo):
        repository = self.find(repo)
        listing = {
            kind: [
                {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha}
                for name, sha in refs.items()
                if not name.startswith("refs/pr/")
            ]
            for kind, folder, refs in (("branches", "heads", repository.branches), ("tags", "tags", repository.tags))
        }
        self.send(200, {**listing, "converts": []})

    def model_info(self, repo, revision=None):
        repository, sha = self.resolve(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(repository.trees[sha])]
        self.send(
            200, {"_id": repo, "id": repo, "sha": sha, "private": repository.private, "siblings": siblings, "tags": []}
        )

    def tree(self, repo, revision, folder=None):
        repository, sha = self.resolve(repo, revision)
        if folder and not any(path.startswith(folder[1:] + "/") for path in repository.trees[sha]):
            raise HubError(404, "no such folder", "EntryNotFound")
        prefix = f"{folder[1:]}/" if folder else ""
        files = repository.trees[sha].items()
        self.send(200, [self.describe(path, content) for path, content in sorted(files) if path.startswith(prefix)])

    def paths_info(self, repo, revision):
        repository, sha = self.resolve(repo, revision)
        tree = repository.trees[sha]
        is_json = self.headers["Content-Type"] == "application/json"
        paths = self.json["paths"] if is_json else parse_qs(self.body.decode()).get("paths", [])
        self.send(200, [self.describe(path, tree[path]) for path in paths if path in tree])

    def lfs_batch(self, repo):
        self.find(repo, write=True)
        objects = []
        for item in self.json["objects"]:
            if item["oid"] not in self.server.lfs:
                item["actions"] = {"upload": {"href": f"{self.server.url}/lfs/{item['oid']}"}}
            objects.append(item)
        self.send(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, "content does not match its hash")
        self.server.lfs[oid] = self.body
        self.send(200, {})

    def download(self, repo, revision, path):
        repository, sha = self.resolve(repo, revision)
        if path not in repository.trees[sha]:
            raise HubError(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": sha})
        if repository.gated and not self.authenticated:
            raise HubError(401, f"Access to model {repo} is restricted.", "GatedRepo")
        content = repository.trees[sha][path]
        entry = self.describe(path, content)
        headers = {"X-Repo-Commit": sha, "ETag": f'"{entry.get("lfs", entry)["oid"]}"', "Accept-Ranges": "bytes"}
        content, status = self.server.swapped.get(path, content), 200
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        if self.command == "GET" and self.server.cut_downloads > 0:
            self.server.cut_downloads -= 1
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return self.connection.close()
        self.send(status, content, headers)
