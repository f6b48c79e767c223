"""Look at every page of the built documentation in headless Chromium, wide and narrow.

``check_site.py --browser`` calls it. Chromium is told what to do over two pipes (its DevTools
protocol: JSON messages that end in a zero byte), so only the browser has to be installed.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

WIDTHS = (1280, 400)
HEIGHT = 900
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
]
CHECKS = (Path(__file__).parent / "browse_site.js").read_text("utf-8")


class Chromium:
    """A browser with one tab."""

    def __init__(self, executable: str):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads from descriptor 3 and writes to descriptor 4. The copies have higher
        # numbers, so that neither is overwritten.
        source, sink = (os.dup(end) for end in (to_read, to_write))
        self._process = subprocess.Popen(
            [executable, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"],
            preexec_fn=lambda: (os.dup2(source, 3), os.dup2(sink, 4)),
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_read, to_write, source, sink):
            os.close(end)
        self._messages = self._receive()
        self._number = 0
        self._session = None
        self.events: list[dict] = []
        [tab] = [
            target
            for target in self.call("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        ]
        self._session = self.call(
            "Target.attachToTarget", targetId=tab["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _receive(self) -> Iterator[dict]:
        rest = b""
        while block := os.read(self._read, 1 << 16):
            *messages, rest = (rest + block).split(b"\0")
            yield from map(json.loads, messages)

    def _message(self) -> dict:
        for message in self._messages:
            return message
        raise RuntimeError("Chromium ended.")

    def call(self, method: str, **parameters):
        """Call a method of the protocol; what happens meanwhile goes to ``events``."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, address: str, width: int) -> None:
        """Load a page in a window of some width."""
        metrics = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.events.clear()
        self.call("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._message())

    def evaluate(self, script: str):
        """Value of a script, whose promises are awaited."""
        options = {"awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", expression=script, **options)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"]["value"]

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        options = {"format": "png", "captureBeyondViewport": True}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {**size, "scale": 1, "height": min(size["height"], 8000)}
        answer = self.call("Page.captureScreenshot", clip=clip, **options)
        return base64.b64decode(answer["data"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._folder.cleanup()


def _troubles(events: list[dict]) -> Iterator[str]:
    """What the browser complained about, and what it asked of other machines."""
    for event in events:
        details = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            address = details["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:", "about:")):
                yield f"asks for {address}"
        elif event["method"] == "Network.loadingFailed" and not details.get("canceled"):
            yield f"could not load a file: {details['errorText']}"
        elif event["method"] == "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            description = thrown.get("exception", {}).get("description", thrown["text"])
            yield f"script failed: {description.splitlines()[0]}"


def browse(folder: Path, pages: list[str] | None, screenshots: Path | None) -> list[str]:
    """Problems of the pages (all if None); pictures of them are saved if a folder is given."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        raise RuntimeError("Chromium is not installed.")
    root = folder.resolve()
    names = pages or [str(path.relative_to(root)) for path in sorted(root.rglob("*.html"))]
    names = [name for name in names if not name.startswith(("_static/", "_downloads/"))]
    found = []
    browser = Chromium(executable)
    try:
        for name in names:
            for width in WIDTHS:
                browser.open((root / name).as_uri(), width)
                problems = browser.evaluate(CHECKS)
                problems += _troubles(browser.events)
                found += [f"{name} at {width} px: {problem}" for problem in problems]
                if screenshots is not None:
                    screenshots.mkdir(parents=True, exist_ok=True)
                    file = screenshots / f"{name.replace('/', '-')[:-5]}-{width}.png"
                    file.write_bytes(browser.screenshot())
    finally:
        browser.close()
    return found
