"""A Hub in memory, on 127.0.0.1: as much of the API as pushing and pulling models takes, over real HTTP.

Clients are other processes, because huggingface_hub reads its environment once, when it is imported: start them with
`MiniHub.environment(home)`. Large files (`*.safetensors`) go through Git LFS, as on the Hub.

    with MiniHub() as hub:
        subprocess.run([...], env=hub.environment(tmp_path))
        hub.repos["org/model"].files()["config.json"]
"""

import base64
import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

LFS_SUFFIXES = (".safetensors",)
ROUTES = []  # (method, pattern, name of the handler's method)


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repo:
    """Commits, each a whole tree, and the branches that point to them."""

    def __init__(self, private=False):
        self.private = private
        self.commits = {}
        self.branches = {}
        self.commit({}, "initial commit", "main")

    def commit(self, files, message, branch):
        content = f"{sorted((path, git_oid(data)) for path, data in files.items())} {message} {len(self.commits)}"
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def resolve(self, revision):
        return self.branches.get(revision) or (revision if revision in self.commits else None)

    def files(self, revision="main"):
        return self.commits[self.resolve(revision)]


class MiniHub(ThreadingHTTPServer):
    """The server; `repos` by id, `requests` as (method, path, status), `faults` of weights by repository."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.lfs, self.requests, self.faults = {}, {}, [], {}
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def environment(self, home, **more):
        """The environment of a client with its own cache."""
        own = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": "hf_of_a_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "OMP_NUM_THREADS": "1",
        }
        return {**os.environ, **own, **more}

    def uploads(self):
        """The requests that changed something."""
        return [request for request in self.requests if request[0] in ("POST", "PUT") and "validate" not in request[1]]


def route(method, pattern):
    def register(function):
        ROUTES.append((method, re.compile(pattern + "$"), function.__name__))
        return function

    return register


REPO = r"/api/models/(?P<repo>[^/]+/[^/]+)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.dispatch()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def dispatch(self):
        address = urlsplit(self.path)
        self.query = dict(parse_qsl(address.query))
        self.body = self.read_body()
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, name in ROUTES:
            if wanted == method and (found := pattern.match(address.path)):
                arguments = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
                if "repo" in arguments:
                    arguments["repo"] = self.server.repos.get(arguments["repo"])
                    if arguments["repo"] is None or not self.may_see(arguments["repo"]):
                        return self.refuse(404, "RepoNotFound", "Repository not found")
                return getattr(self, name)(**arguments)
        return self.refuse(404, "NotFound", f"no route for {self.command} {address.path}")

    def may_see(self, repo):
        return not repo.private or "Authorization" in self.headers

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, body=b"", status=200, headers=None, promised=None):
        """Send a response; `promised` is the length that the header states where it is not the body's."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(promised or len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if promised and self.command != "HEAD":
            self.close_connection = True
        self.server.requests.append((self.command, self.path, status))

    def refuse(self, status, code, message):
        self.answer({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    @route("GET", r"/api/whoami-v2")
    def who_am_i(self):
        self.answer({"type": "user", "name": "org", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    @route("POST", r"/api/validate-yaml")
    def validate_yaml(self):
        self.answer({"errors": [], "warnings": []})

    @route("POST", r"/api/repos/create")
    def create(self):
        if "Authorization" not in self.headers:
            return self.refuse(401, "Unauthorized", "Invalid username or password.")
        wanted = json.loads(self.body)
        name = f"{wanted.get('organization') or 'org'}/{wanted['name']}"
        existed = name in self.server.repos
        if not existed:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.server.repos[name] = Repo(bool(private))
        error = {"error": "You already created this model repo"} if existed else {}
        return self.answer(
            {"url": f"{self.server.url}/{name}", "name": name, "id": name, **error}, 409 if existed else 200
        )

    @route("POST", REPO + r"/branch/(?P<branch>.+)")
    def create_branch(self, repo, branch):
        if branch in repo.branches:
            return self.refuse(409, "Conflict", "Reference already exists")
        repo.branches[branch] = repo.resolve(json.loads(self.body or b"{}").get("startingPoint") or "main")
        return self.answer({})

    @route("POST", REPO + r"/preupload/(?P<revision>.+)")
    def preupload(self, repo, revision):
        if repo.resolve(revision) is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        files = repo.files(revision)
        answers = [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
                "oid": git_oid(files[path]) if path in files else None,
            }
            for path in (file["path"] for file in json.loads(self.body)["files"])
        ]
        return self.answer({"files": answers})

    @route("POST", r"/[^/]+/[^/]+\.git/info/lfs/objects/batch")
    def lfs_batch(self):
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.server.url}/_lfs/{wanted['oid']}", "header": {}}}
            known = wanted["oid"] in self.server.lfs
            objects.append({"oid": wanted["oid"], "size": wanted["size"], **({} if known else {"actions": upload})})
        self.answer({"transfer": "basic", "objects": objects})

    @route("PUT", r"/_lfs/(?P<oid>[0-9a-f]+)")
    def lfs_upload(self, oid):
        self.server.lfs[oid] = self.body
        self.answer()

    @route("POST", REPO + r"/commit/(?P<revision>.+)")
    def commit(self, repo, revision):
        files, message = dict(repo.files(revision)), ""
        for line in filter(None, self.body.splitlines()):
            kind, value = (json.loads(line)[key] for key in ("key", "value"))
            if kind == "header":
                message = value["summary"]
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.server.lfs[value["oid"]]
            elif kind == "deletedFile":
                files.pop(value["path"], None)
        sha = repo.commit(files, message, revision)
        self.answer({"success": True, "commitUrl": f"{self.server.url}/org/x/commit/{sha}", "commitOid": sha})

    @route("GET", REPO + r"/tree/(?P<revision>[^/]+)")
    def tree(self, repo, revision):
        files = repo.files(revision)
        self.answer([self.entry(path, files[path]) for path in sorted(files)])

    @route("GET", REPO + r"(?:/revision/(?P<revision>.+))?")
    def info(self, repo, revision="main"):
        sha = repo.resolve(revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        files = repo.commits[sha]
        card = files.get("README.md", b"").decode().split("---")
        return self.answer(
            {
                "id": "org/x",
                "sha": sha,
                "private": repo.private,
                "tags": [],
                "cardData": yaml.safe_load(card[1]) if len(card) > 2 else {},
                "siblings": [{"rfilename": path} for path in sorted(files)],
            }
        )

    @route("GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def download(self, repo, revision, path):
        sha = repo.resolve(revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        content = repo.commits[sha].get(path)
        if content is None:
            return self.answer({}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
        etag = hashlib.sha256(content).hexdigest() if path.endswith(LFS_SUFFIXES) else git_oid(content)
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        fault = self.server.faults.get(self.path.split("/resolve/")[0][1:]) if path.endswith(LFS_SUFFIXES) else None
        if self.command == "HEAD":
            return self.answer(content, headers=headers)
        if fault == "other content":  # of the same length, as from a broken proxy
            content = content[:-4] + bytes(255 - byte for byte in content[-4:])
        if fault == "shorter":  # than was announced
            return self.answer(content[: len(content) // 2], headers=headers)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        status = 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault == "breaks off":  # half way, and whenever the rest is asked for
            part = b"" if start else content[: len(content) // 2]
            return self.answer(part, status, headers, promised=len(content) - start)
        return self.answer(content[start:], status, headers)

    def entry(self, path, content):
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        large = {"lfs": lfs} if path.endswith(LFS_SUFFIXES) else {}
        return {"type": "file", "oid": git_oid(content), "size": len(content), "path": path, **large}
